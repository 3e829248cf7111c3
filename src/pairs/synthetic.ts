/** Bandit worlds whose reward is known, so that an extracted one can be held against it. */
import { z } from "zod";
import { FairlError, Random } from "../base/mod.ts";
import { drawTopic, GRAMMAR_PROMPTS, makeGrammar } from "./grammar.ts";
import type { PreferencePair } from "./schema.ts";
import { type PairSet, pairSet, type Truth } from "./set.ts";

/** What kind of world it is. */
export interface SyntheticOptions {
  /**
   * How the reward depends on the input. `linear`; `nonlinear`: a product of two directions is
   * added, or a degree ("hardly") multiplies the word after it; `noisy`: linear, but a fifth of
   * the preferences is the wrong way round. Default: "linear".
   */
  readonly reward?: "linear" | "nonlinear" | "noisy" | undefined;
  /** Sentences of a small grammar, or Gaussian features that the pair set carries. Default: "texts". */
  readonly inputs?: "texts" | "features" | undefined;
  /** How many features a completion has, at least 4. Default: 32. */
  readonly dimension?: number | undefined;
  /** How many prompts. Default: 2,000. */
  readonly prompts?: number | undefined;
  /** Completions of each prompt, an even number: two make a pair. Default: 4. */
  readonly completions?: number | undefined;
  /** Share of the pairs that are drawn T->NT, before noise; toxic = reward below 0. Default: 0.5. */
  readonly informative?: number | undefined;
  /** Chance that a preference is the wrong way round. Default: 0, in the noisy world 0.2. */
  readonly noise?: number | undefined;
  /** Share of the prompts that belong to a subgroup where the reward's sign is flipped. Default: 0. */
  readonly blindSpot?: number | undefined;
}

/** A set of pairs whose reward is known. */
export interface SyntheticPairSet extends PairSet {
  /** The known reward. */
  readonly truth: Truth;
}

const share = z.number().min(0).max(1);
const schema = z.object({
  reward: z.enum(["linear", "nonlinear", "noisy"]).default("linear"),
  inputs: z.enum(["texts", "features"]).default("texts"),
  dimension: z.int().min(4).default(32),
  prompts: z.int().min(1).default(2000),
  completions: z.int().min(2).multipleOf(2).default(4),
  informative: share.default(0.5),
  noise: share.optional(),
  blindSpot: share.default(0),
});

/** Of the pairs that do not cross the border, how many are NT->NT (METHOD.md: 80 to 15). */
const HARMLESS = 80 / 95;

interface Completion {
  readonly text: string;
  readonly reward: number;
  readonly features?: Float32Array;
}

interface Question {
  readonly prompt: string;
  /** Draws another completion, unlike all before. */
  draw(): Completion;
}

/** Asks the next question, one of the flipped subgroup or not. */
type World = (flipped: boolean) => Question;

/**
 * Makes pairs whose reward is known. Each prompt has `completions` completions, which make pairs
 * two by two. A pair is T->NT with the chance `informative`, else both sides are NT (80 in 95) or
 * T (15 in 95); the better one is chosen, save for `noise`. `chosenReference` and
 * `rejectedReference` are the true rewards, and with a blind spot `group` is "flipped" or "rest".
 *
 * @throws FairlError `pairs.bad-option`
 *
 * @example A world of features with a subgroup whose sign is flipped
 * ```ts
 * import { assert } from "@std/assert";
 * import { syntheticPairs } from "./synthetic.ts";
 * const world = syntheticPairs(
 *   { inputs: "features", dimension: 8, prompts: 50, completions: 2, blindSpot: 0.3 },
 *   0,
 * );
 * assert(world.pairs.length === 50);
 * assert(world.truth.features?.length === 100 * 8);
 * assert(world.pairs.every((pair) => pair.chosenReference! > pair.rejectedReference!));
 * ```
 */
export function syntheticPairs(options: SyntheticOptions, seed: number): SyntheticPairSet {
  const parsed = schema.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new FairlError(
      "pairs.bad-option",
      `synthetic ${issue!.path.join(".")}: ${issue!.message}`,
    );
  }
  const { reward, inputs, dimension, prompts, completions, informative, blindSpot } = parsed.data;
  if (inputs === "texts" && prompts > GRAMMAR_PROMPTS) {
    throw new FairlError(
      "pairs.bad-option",
      `synthetic prompts: the grammar has at most ${GRAMMAR_PROMPTS}; features have no limit`,
    );
  }
  const noise = parsed.data.noise ?? (reward === "noisy" ? 0.2 : 0);
  const random = new Random(seed, "synthetic world");
  const nonlinear = reward === "nonlinear";
  const world = inputs === "texts"
    ? grammarWorld(random, nonlinear)
    : gaussianWorld(random, nonlinear, dimension, blindSpot > 0);

  const pairs: PreferencePair[] = [];
  const all: Completion[] = [];
  const promptOf: string[] = [];
  for (let asked = 0; asked < prompts; asked++) {
    const flipped = random.uniform() < blindSpot;
    const question = world(flipped);
    for (let made = 0; made < completions; made += 2) {
      const crosses = random.uniform() < informative;
      const harmless = random.uniform() < HARMLESS;
      const a = drawOf(question, crosses || harmless);
      const b = drawOf(question, !crosses && harmless);
      const right = random.uniform() >= noise;
      const [chosen, rejected] = (a.reward > b.reward) === right ? [a, b] : [b, a];
      pairs.push({
        prompt: question.prompt,
        chosen: chosen.text,
        rejected: rejected.text,
        chosenReference: chosen.reward,
        rejectedReference: rejected.reward,
        label: `${kindOf(rejected)}->${kindOf(chosen)}`,
        ...(blindSpot > 0 ? { group: flipped ? "flipped" : "rest" } : {}),
      });
      all.push(a, b);
      promptOf.push(question.prompt, question.prompt);
    }
  }
  const truth: Truth = {
    texts: all.map((completion) => completion.text),
    prompts: promptOf,
    reward: Float64Array.from(all, (completion) => completion.reward),
    ...(inputs === "features" ? { features: stack(all, dimension), dimension } : {}),
  };
  return { ...pairSet("synthetic", pairs, { truth }), truth };
}

function kindOf(completion: Completion): "T" | "NT" {
  return completion.reward < 0 ? "T" : "NT";
}

function drawOf(question: Question, harmless: boolean): Completion {
  for (;;) {
    const completion = question.draw();
    if ((completion.reward >= 0) === harmless) return completion;
  }
}

function grammarWorld(random: Random, nonlinear: boolean): World {
  const grammar = makeGrammar(random.fork("grammar"), nonlinear);
  const asked = new Set<string>();
  const said = new Set<string>();
  return (flipped) => {
    let topic = drawTopic(random, flipped);
    while (asked.has(topic.prompt)) topic = drawTopic(random, flipped);
    asked.add(topic.prompt);
    return {
      prompt: topic.prompt,
      draw() {
        for (;;) {
          const { text, reward } = grammar.draw(topic);
          if (said.has(text)) continue;
          said.add(text);
          return { text, reward: flipped ? -reward : reward };
        }
      },
    };
  };
}

/**
 * Standard normal features x; with orthonormal directions u, v, w the reward is u.x, or in the
 * non-linear world (u.x + (v.x)(w.x)) / sqrt(2): variance 1 in both. A fourth direction carries
 * the subgroup, as +1 or -1, so that a head which can multiply is able to see it.
 */
function gaussianWorld(
  random: Random,
  nonlinear: boolean,
  dimension: number,
  marked: boolean,
): World {
  const [u, v, w, mark] = orthonormal(random.fork("directions"), 4, dimension) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let asked = 0;
  return (flipped) => {
    const prompt = `prompt ${asked++}`;
    let drawn = 0;
    return {
      prompt,
      draw() {
        const features = random.normals(dimension);
        if (marked) {
          const shift = (flipped ? 1 : -1) - dot(mark, features);
          for (let at = 0; at < dimension; at++) features[at]! += shift * mark[at]!;
        }
        const value = nonlinear
          ? (dot(u, features) + dot(v, features) * dot(w, features)) / Math.SQRT2
          : dot(u, features);
        return {
          text: `${prompt}, completion ${drawn++}`,
          reward: flipped ? -value : value,
          features,
        };
      },
    };
  };
}

/** `count` random directions at right angles to one another (Gram and Schmidt). */
function orthonormal(random: Random, count: number, dimension: number): Float64Array[] {
  const found: Float64Array[] = [];
  while (found.length < count) {
    const next = Float64Array.from({ length: dimension }, () => random.normal());
    for (const other of found) {
      const along = dot(next, other);
      for (let at = 0; at < dimension; at++) next[at]! -= along * other[at]!;
    }
    const length = Math.sqrt(dot(next, next));
    found.push(next.map((value) => value / length));
  }
  return found;
}

function dot(a: Float64Array, b: Float64Array | Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at]! * b[at]!;
  return sum;
}

function stack(completions: readonly Completion[], dimension: number): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(completions.length * dimension);
  for (const [at, { features }] of completions.entries()) rows.set(features!, at * dimension);
  return rows;
}
