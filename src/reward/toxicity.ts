/** A ground truth for experiments: how toxic a text's words are, learned once and then fixed. */
import { z } from "zod";
import { FairlError, messageOf, Random } from "../base/mod.ts";
import type { LabelledText } from "../pairs/mod.ts";
import type { TextScorer } from "./reference.ts";

const schema = z.object({
  format: z.literal(1),
  name: z.string(),
  bias: z.number(),
  words: z.record(z.string(), z.number()),
}) satisfies z.ZodType<ToxicityWeights>;

/** The weights of a toxicity reward, as they are kept in a file. */
export interface ToxicityWeights {
  /** Version of this layout. */
  readonly format: 1;
  /** What the reward is called in cards and tables. */
  readonly name: string;
  /** Logit of a text without any known word. */
  readonly bias: number;
  /** What a word adds to the logit of "toxic" by being there. */
  readonly words: Readonly<Record<string, number>>;
}

const EPOCHS = 12;
const STEP = 0.3;
const PENALTY = 2e-5;
/** Rarer words say nothing that holds for other texts. */
const SEEN = 3;

/**
 * Logistic regression on which words are there. Presence and not counts: a reward on counts would pay
 * for saying the same harmless word again and again (C: METHOD.md).
 */
export function fitToxicity(name: string, texts: readonly LabelledText[]): ToxicityWeights {
  const counts = new Map<string, number>();
  const words = texts.map(({ text }) => [...wordsOf(text)]);
  for (const word of words.flat()) counts.set(word, (counts.get(word) ?? 0) + 1);
  const weights = new Map<string, number>();
  const squares = new Map<string, number>();
  for (const [word, count] of counts) if (count >= SEEN) weights.set(word, 0);
  let bias = 0;
  let biasSquares = 1;
  const random = new Random(0, "toxicity");
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    for (const at of random.permutation(texts.length)) {
      let logit = bias;
      for (const word of words[at]!) logit += weights.get(word) ?? 0;
      const pull = 1 / (1 + Math.exp(-logit)) - (texts[at]!.toxic ? 1 : 0);
      biasSquares += pull * pull;
      bias -= STEP * pull / Math.sqrt(biasSquares);
      for (const word of words[at]!) {
        const weight = weights.get(word);
        if (weight === undefined) continue;
        const slope = pull + PENALTY * weight;
        const sum = (squares.get(word) ?? 1e-2) + slope * slope;
        squares.set(word, sum);
        weights.set(word, weight - STEP * slope / Math.sqrt(sum));
      }
    }
  }
  const round = (value: number) => Math.round(value * 1000) / 1000;
  const kept = [...weights].map(([word, weight]) => [word, round(weight)] as const)
    .filter(([, weight]) => weight !== 0)
    .sort(([a], [b]) => a < b ? -1 : 1);
  return { format: 1, name, bias: round(bias), words: Object.fromEntries(kept) };
}

/**
 * The reward -tanh(logit / 2) of a text, from -1 (toxic) to 1: below 0 it is more likely toxic than not.
 *
 * @param json Weights as {@linkcode fitToxicity} gives them
 * @throws FairlError `reward.toxicity` when they are none
 */
export function toxicityReward(json: unknown): TextScorer {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new FairlError("reward.toxicity", `No toxicity weights: ${messageOf(parsed.error)}`);
  }
  const { name, bias, words } = parsed.data;
  const weights = new Map(Object.entries(words));
  return {
    name,
    score: (texts) =>
      Promise.resolve(Float32Array.from(texts, (text) => {
        let logit = bias;
        for (const word of wordsOf(text)) logit += weights.get(word) ?? 0;
        return -Math.tanh(logit / 2);
      })),
  };
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}'*$@]*/gu));
}
