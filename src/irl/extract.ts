/** Extraction: from the features of preference pairs to the four rewards that explain them. */
import { FairlError, type Progress, Random, silent } from "../base/mod.ts";
import type { RewardHead, RewardPath } from "../reward/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { type BaseFit, type BaseSettings, fitBase, type FitTools } from "./base_path.ts";
import {
  type CorrectionFit,
  type CorrectionRun,
  type CorrectionSettings,
  fitCorrection,
  type FrozenBase,
  type RoundLog,
} from "./correction.ts";
import {
  acrossPairs,
  gapsOf,
  type PairFeatures,
  type Standardisation,
  standardisation,
  standardised,
} from "./data.ts";
import { type FailureSelector, noSelection } from "./failures.ts";
import type { Objective } from "./objectives.ts";
import { type PathShape, PathTrainer, PathValues, type PathWeights } from "./path.ts";
import { asGoodAs, calibratedLosses, deviation } from "./separation.ts";
import type { ExtractionSettings, Method } from "./settings.ts";
import { type Stages, unkept } from "./stages.ts";

/** Which pairs an extraction may look at. The test pairs are none of them. */
export interface ExtractionData extends PairFeatures {
  /** Pairs to train on. */
  readonly train: Int32Array;
  /** The prompt of each pair, any integers; equal where pairs answer the same prompt. */
  readonly prompts: Int32Array;
  /** Pairs that choose epochs, settings and mixing weights; no text of theirs is in a training pair. */
  readonly validation: Int32Array;
}

/** One line of `training.jsonl`. */
export type TrainingLine =
  | {
    readonly kind: "base";
    readonly method: Method;
    readonly settings: BaseSettings;
    readonly epoch: number;
    readonly validation: number;
    readonly losses: readonly number[];
    readonly validations: readonly number[];
  }
  | (
    & { readonly kind: "round"; readonly method: Method; readonly settings: CorrectionSettings }
    & RoundLog
  );

/** The rewards that were found. */
export interface Extraction {
  /** A head for each method; reward 0 is the text threshold, the unit is the training gaps' deviation. */
  readonly heads: Record<Method, RewardHead>;
  /** Separation of the validation pairs, in nats: what everything was chosen by. */
  readonly validation: Record<Method, number>;
  /** What happened on the way. */
  readonly log: readonly TrainingLine[];
}

/** What an extraction may use beside data and settings. */
export interface ExtractionTools {
  /** Told of every stage. */
  progress?: Progress;
  /** Stops it within one run of a session; finished stages are kept. */
  signal?: AbortSignal;
  /** Where finished stages are kept. */
  stages?: Stages;
}

/**
 * Extracts the reward that alignment left behind, four times over: IRL as published, IRL tuned, the
 * capacity-matched control and FA-IRL (arXiv 2510.06092; METHOD.md tells what is known of the paper
 * and what is our choice).
 *
 * One seed, one device and the same data give the same bytes, in one go or resumed.
 *
 * @throws FairlError `irl.too-few` when training or validation pairs are missing,
 * `irl.constant-features` when all texts look the same to the encoder
 *
 * @example A reward that likes the first feature
 * ```ts
 * import { assert } from "@std/assert";
 * import { defaultSettings, extract } from "./mod.ts";
 * import { Random } from "../base/mod.ts";
 * import { Runtime } from "../runtime/mod.ts";
 *
 * const random = new Random(0);
 * const features = random.normals(400 * 8);
 * const better = (pair: number) => features[16 * pair]! > features[16 * pair + 8]! ? 0 : 1;
 * const pairs = Int32Array.from({ length: 200 }, (_, pair) => pair);
 * await using runtime = await Runtime.open("wasm");
 * const { heads } = await extract(runtime, {
 *   features,
 *   dimension: 8,
 *   chosen: pairs.map((pair) => 2 * pair + better(pair)),
 *   rejected: pairs.map((pair) => 2 * pair + 1 - better(pair)),
 *   prompts: new Int32Array(200),
 *   train: pairs.subarray(0, 150),
 *   validation: pairs.subarray(150),
 * }, defaultSettings("max-entropy", 0));
 * const [linear] = heads["irl-tuned"].paths;
 * assert(linear?.kind === "linear" && linear.weight[0] === Math.max(...linear.weight));
 * ```
 */
export async function extract(
  runtime: Runtime,
  data: ExtractionData,
  settings: ExtractionSettings,
  { progress = silent, signal, stages = unkept }: ExtractionTools = {},
): Promise<Extraction> {
  for (const name of ["train", "validation"] as const) {
    if (data[name].length < 2) {
      throw new FairlError("irl.too-few", `${data[name].length} ${name} pairs are too few`);
    }
  }
  const form = standardisation(data, data.train);
  const walk: Walk = {
    runtime,
    settings,
    stages,
    progress,
    ...(signal ? { signal } : {}),
    ...comparisons(data, settings, form),
    log: [],
  };
  const bases = await fitBases(walk);
  const corrections = await fitCorrections(walk, bases.tuned);

  const { published, tuned } = bases;
  const basePath = (base: Base, coefficient: number) =>
    rewardPath(settings.head, base.fit.weights, coefficient);
  const alone = (base: Base) => finished(walk, form, base.train, [basePath(base, 1)]);
  const corrected = ({ fit, train }: Corrected) =>
    finished(
      walk,
      form,
      tuned.train.map((value, row) => value / tuned.unit + fit.alpha * train[row]!),
      [
        basePath(tuned, 1 / tuned.unit),
        ...(fit.alpha > 0 ? [rewardPath(settings.correctionShape, fit.weights, fit.alpha)] : []),
      ],
    );
  return {
    heads: {
      "irl": alone(published),
      "irl-tuned": alone(tuned),
      "control": corrected(corrections.control),
      "fa-irl": corrected(corrections["fa-irl"]),
    },
    validation: {
      "irl": published.fit.validation,
      "irl-tuned": tuned.fit.validation,
      "control": corrections.control.fit.validation,
      "fa-irl": corrections["fa-irl"].fit.validation,
    },
    log: walk.log,
  };
}

/** What the steps of an extraction share. */
interface Walk {
  readonly runtime: Runtime;
  readonly settings: ExtractionSettings;
  readonly stages: Stages;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
  /** The training pairs. */
  readonly pairs: PairFeatures;
  /** The validation pairs. */
  readonly validationPairs: PairFeatures;
  /** The training pairs, then comparisons across them. */
  readonly train: PairFeatures;
  /** The validation pairs, then comparisons across them. */
  readonly validation: PairFeatures;
  /** Which half of the training data a comparison belongs to. */
  readonly folds: Uint8Array;
  readonly log: TrainingLine[];
}

/** What is trained on and what chooses: the pairs, and comparisons across pairs of one prompt. */
function comparisons(
  data: ExtractionData,
  { acrossPairs: times, crossFit, seed }: ExtractionSettings,
  form: Standardisation,
): Pick<Walk, "pairs" | "validationPairs" | "train" | "validation" | "folds"> {
  const pairs = standardised(data, data.train, form);
  const validationPairs = standardised(data, data.validation, form);
  const prompts = (part: Int32Array) => part.map((pair) => data.prompts[pair]!);
  // No comparison may join the two halves: each is to judge pairs of texts that it never saw.
  const sides = crossFit
    ? halves(pairs, new Random(seed, "folds"))
    : new Uint8Array(pairs.chosen.length);
  const random = new Random(seed, "across pairs");
  const train = acrossPairs(
    pairs,
    prompts(data.train).map((prompt, pair) => 2 * prompt + sides[pair]!),
    times,
    random.fork("train"),
  );
  return {
    pairs,
    validationPairs,
    train,
    validation: acrossPairs(validationPairs, prompts(data.validation), times, random.fork("v")),
    folds: Uint8Array.from(train.source, (pair) => sides[pair]!),
  };
}

/** A path's step, and its values of the texts of both parts. */
async function openSessions(
  { runtime, settings: { batch, weightDecay }, train, validation }: Walk,
  shape: PathShape,
  objective: Objective,
) {
  await using opened = new AsyncDisposableStack();
  const options = { shape, objective, batch, weightDecay };
  const trainer = opened.use(await PathTrainer.open(runtime, train, options));
  const values = opened.use(await PathValues.open(runtime, validation, shape));
  const trainValues = opened.use(await PathValues.open(runtime, train, shape));
  const all = opened.move();
  return {
    trainer,
    values,
    trainValues,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** A fitted base path and its rewards. */
interface Base {
  readonly fit: BaseFit;
  /** Reward of each training text. */
  readonly train: Float32Array;
  /** Reward of each validation text. */
  readonly validation: Float32Array;
  /** Deviation of the training gaps: without it, margins and tau mean nothing (C). */
  readonly unit: number;
  /** Training gaps that half-models give to the half they did not see; in-sample without them. */
  readonly unseen: Float32Array<ArrayBuffer>;
}

async function fitBases(walk: Walk): Promise<{ published: Base; tuned: Base }> {
  const { settings, train, validation, folds, progress, stages, signal } = walk;
  const { head: shape, objective, seed } = settings;
  const { tuned: grid, crossFit } = settings;
  progress.start("fit base rewards", 1 + grid.length * (crossFit ? 3 : 1), "fits");
  let done = 0;

  await using sessions = await openSessions(walk, shape, objective);
  const { trainer, values, trainValues } = sessions;
  const tools: FitTools = { trainer, values, validation, ...(signal ? { signal } : {}) };
  const fit = async (
    name: string,
    used: BaseSettings,
    { pairs, judges = validation }: { pairs?: Int32Array; judges?: PairFeatures } = {},
  ) => {
    const result = await stages.run(
      `base ${name}`,
      () =>
        fitBase({ ...tools, validation: judges }, used, new Random(seed, `base ${name}`), pairs),
    );
    progress.update(++done);
    return result;
  };
  const note = (method: Method, { weights: _, gaps: __, ...fit }: BaseFit, used: BaseSettings) =>
    walk.log.push({ kind: "base", method, settings: used, ...fit });
  const valued = async (fit: BaseFit): Promise<Base> => {
    const rewards = await trainValues.of(fit.weights);
    const gaps = gapsOf(train, rewards);
    return {
      fit,
      train: rewards,
      validation: await values.of(fit.weights),
      // A base that learned nothing has gaps of zero; any unit serves it.
      unit: deviation(gaps) || 1,
      unseen: gaps,
    };
  };

  // As published, IRL knows the pairs alone.
  const published = await fit("published", settings.published, {
    pairs: Int32Array.from(walk.pairs.chosen.keys()),
    judges: walk.validationPairs,
  });
  note("irl", published, settings.published);

  // Half-models judge each setting on the half that they did not see: with the validation pairs alone
  // most settings could not be told apart. The same gaps find failures afterwards.
  const candidates: Candidate[] = [];
  for (const [at, used] of grid.entries()) {
    const whole = await fit(`tuned ${at}`, used);
    note("irl-tuned", whole, used);
    const halves: Half[] = [];
    for (const fold of crossFit ? [0, 1] : []) {
      const { weights } = await fit(`half ${fold} of ${at}`, used, {
        pairs: where(folds, (side) => side === fold),
      });
      const gaps = gapsOf(train, await trainValues.of(weights));
      const others = where(folds, (side) => side !== fold);
      // Half the pairs give another scale.
      halves.push({
        pairs: others,
        gaps: Float32Array.from(others, (pair) => gaps[pair]!),
        unit: deviation(gaps) || 1,
      });
    }
    candidates.push({ whole, halves });
  }
  const chosen = firstAsGoodAsBest(
    candidates.map(({ whole, halves }) => [whole.gaps, ...halves.map(({ gaps }) => gaps)]),
    walk.validationPairs.chosen.length + (crossFit ? walk.pairs.chosen.length : 0),
  );
  const { whole, halves } = candidates[chosen]!;
  const tuned = await valued(whole);
  const unseen = Float32Array.from(tuned.unseen);
  for (const { pairs, gaps, unit } of halves) {
    // Failures are looked for in the whole model's unit.
    pairs.forEach((pair, at) => unseen[pair] = gaps[at]! * tuned.unit / unit);
  }
  progress.end();
  return { published: await valued(published), tuned: { ...tuned, unseen } };
}

/** A setting of the base, fitted to all training pairs and to either half of them. */
interface Candidate {
  readonly whole: BaseFit;
  readonly halves: readonly Half[];
}

/** What a half-model makes of the comparisons that it did not see. */
interface Half {
  readonly pairs: Int32Array;
  readonly gaps: Float32Array;
  /** Deviation of the half-model's gaps on all training comparisons. */
  readonly unit: number;
}

/**
 * Index of the first reward that cannot be told from the best one.
 *
 * @param gaps For each reward its gaps of comparisons that it did not train on, one array for each
 * model that gave some
 * @param independent How many of the comparisons are pairs
 */
function firstAsGoodAsBest(
  gaps: readonly (readonly Float32Array[])[],
  independent: number,
): number {
  const losses = gaps.map((parts) =>
    Float64Array.from(parts.flatMap((part) => [...calibratedLosses(part)]))
  );
  const total = (values: Float64Array) => values.reduce((sum, loss) => sum + loss, 0);
  const best = losses.reduce((a, b) => total(b) < total(a) ? b : a);
  return losses.findIndex((own) => asGoodAs(own, best, independent));
}

/** A fitted correction and its rewards, before the mixing weight. */
interface Corrected {
  readonly fit: CorrectionFit;
  /** The correction's value of each training text. */
  readonly train: Float32Array;
}

async function fitCorrections(
  walk: Walk,
  base: Base,
): Promise<Record<"control" | "fa-irl", Corrected>> {
  const { settings, train, validation, progress, stages, signal } = walk;
  const { correctionShape: shape, seed } = settings;
  const rounds = [...settings.control, ...settings.correction]
    .reduce((sum, used) => sum + used.rounds, 0);
  progress.start("correct failures", rounds, "rounds");
  let done = 0;

  const inUnits = (gaps: Float32Array) => Float32Array.from(gaps, (gap) => gap / base.unit);
  const frozen: FrozenBase = {
    train: inUnits(gapsOf(train, base.train)),
    unseen: inUnits(base.unseen),
    validation: inUnits(gapsOf(validation, base.validation)),
  };
  const objective = settings.objective === "max-entropy" ? "max-entropy" : "max-margin";
  await using sessions = await openSessions(walk, shape, objective);
  const { trainer, values, trainValues } = sessions;
  const correct = async (
    method: "control" | "fa-irl",
    candidates: readonly CorrectionSettings[],
    select: FailureSelector,
  ): Promise<Corrected> => {
    const onRound = ({ violations, nearTies }: RoundLog) =>
      progress.update(++done, `${method}: ${violations} wrong, ${nearTies} nearly tied`);
    const tools = { trainer, values, trainValues, validation, stages, onRound };
    const runs: CorrectionRun[] = [];
    for (const [at, used] of candidates.entries()) {
      runs.push(
        await fitCorrection(
          { ...tools, ...(signal ? { signal } : {}) },
          frozen,
          used,
          select,
          // One stream for all: a control differs from FA-IRL in the selection alone.
          new Random(seed, "correction"),
          `${method} ${at}`,
        ),
      );
    }
    // As for the base: the first that the validation pairs cannot tell from the best; within one way
    // to train the smallest mixing weight comes first, the base alone before all.
    const fits = runs.flatMap(({ fits }) => fits);
    const fit =
      fits[firstAsGoodAsBest(fits.map(({ gaps }) => [gaps]), walk.validationPairs.chosen.length)]!;
    const { rounds } = runs.find(({ fits }) => fits.includes(fit))!;
    for (const round of rounds) {
      walk.log.push({ kind: "round", method, settings: fit.settings, ...round });
    }
    return { fit, train: await trainValues.of(fit.weights) };
  };
  const control = await correct("control", settings.control, noSelection);
  const faIrl = await correct("fa-irl", settings.correction, settings.select);
  progress.end();
  return { control, "fa-irl": faIrl };
}

function rewardPath(shape: PathShape, weights: PathWeights, coefficient: number): RewardPath {
  const of = (name: string) => weights[name]!.data;
  return shape.kind === "linear" ? { kind: "linear", coefficient, weight: of("weight") } : {
    kind: "mlp",
    coefficient,
    hidden: of("hidden"),
    bias: of("bias"),
    output: of("output"),
  };
}

/** The head whose unit is the deviation of the training gaps and whose zero is the text threshold. */
function finished(
  { pairs }: Walk,
  { mean, scale }: Standardisation,
  rewards: Float32Array,
  paths: RewardPath[],
): RewardHead {
  const unit = deviation(gapsOf(pairs, rewards)) || 1;
  const average = (rows: Int32Array) =>
    rows.reduce((sum, row) => sum + rewards[row]!, 0) / rows.length;
  const offset = (average(pairs.chosen) + average(pairs.rejected)) / 2 / unit;
  return { dimension: pairs.dimension, mean, scale, paths, unit, offset };
}

/** Assigns each pair to one of two halves so that no text is in both. */
function halves(pairs: PairFeatures, random: Random): Uint8Array {
  const parent = Int32Array.from(
    { length: pairs.features.length / pairs.dimension },
    (_, row) => row,
  );
  const root = (row: number): number => {
    while (parent[row] !== row) row = parent[row] = parent[parent[row]!]!;
    return row;
  };
  pairs.chosen.forEach((row, pair) => parent[root(row)] = root(pairs.rejected[pair]!));
  const side = new Map<number, number>();
  return Uint8Array.from(pairs.chosen, (row) => {
    const group = root(row);
    if (!side.has(group)) side.set(group, random.integer(2));
    return side.get(group)!;
  });
}

function where(values: Uint8Array, holds: (value: number) => boolean): Int32Array<ArrayBuffer> {
  const found: number[] = [];
  values.forEach((value, index) => holds(value) && found.push(index));
  return Int32Array.from(found);
}
