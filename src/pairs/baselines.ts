/** Rewards that know nothing of meaning: length, typography, single words. What a real one must beat. */
import { Random } from "../base/mod.ts";
import type { PreferencePair } from "./schema.ts";

/** Scores a text; only the order counts. */
export type Scorer = (text: string) => number;

/** A baseline: learns from pairs, then scores texts. */
export interface Baseline {
  /** "length", "casing" or "words". */
  readonly name: string;
  /** Fits it; the same pairs give the same scorer. */
  fit(pairs: readonly PreferencePair[]): Scorer;
}

/** The number of characters; whether short or long is better is learned. */
export const lengthBaseline: Baseline = {
  name: "length",
  fit: (pairs) => better(pairs, (text) => text.length),
};

/** Capital letters, less the spaces before punctuation; which way round is learned. */
export const casingBaseline: Baseline = {
  name: "casing",
  fit: (pairs) =>
    better(pairs, (text) => Number(/\p{Lu}/u.test(text)) - Number(/\s[.,!?;:']/u.test(text))),
};

/** Times through the pairs, step width and penalty of the bag of words; our choice. */
const EPOCHS = 12;
const STEP = 0.3;
const PENALTY = 1e-4;

/**
 * A Bradley-Terry model on the presence of lower-case words: each word has a weight, a text's
 * score is the sum over its distinct words. Fitted with AdaGrad and an L2 penalty; words that
 * no training pair tells apart weigh nothing.
 */
export const wordsBaseline: Baseline = {
  name: "words",
  fit(pairs) {
    const columns = new Map<string, number>();
    const column = (word: string) => {
      let at = columns.get(word);
      if (at === undefined) columns.set(word, at = columns.size);
      return at;
    };
    // Per pair, the words of one side only: +column chosen, -column - 1 rejected.
    const differences = pairs.map((pair) => {
      const chosen = wordsOf(pair.chosen);
      const rejected = wordsOf(pair.rejected);
      return Int32Array.from([
        ...[...chosen].filter((word) => !rejected.has(word)).map(column),
        ...[...rejected].filter((word) => !chosen.has(word)).map((word) => -column(word) - 1),
      ]);
    });
    const weights = new Float64Array(columns.size);
    const squares = new Float64Array(columns.size).fill(1e-8);
    const random = new Random(0, "words baseline");
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      for (const at of random.permutation(pairs.length)) {
        const difference = differences[at]!;
        let gap = 0;
        for (const signed of difference) {
          gap += signed >= 0 ? weights[signed]! : -weights[-signed - 1]!;
        }
        const pull = 1 / (1 + Math.exp(gap));
        for (const signed of difference) {
          const word = signed >= 0 ? signed : -signed - 1;
          const gradient = PENALTY * weights[word]! - (signed >= 0 ? pull : -pull);
          squares[word]! += gradient * gradient;
          weights[word]! -= STEP * gradient / Math.sqrt(squares[word]!);
        }
      }
    }
    return (text) => {
      let score = 0;
      for (const word of wordsOf(text)) {
        const at = columns.get(word);
        if (at !== undefined) score += weights[at]!;
      }
      return score;
    };
  },
};

/** All of them, in the order they are printed. */
export const BASELINES: readonly Baseline[] = [lengthBaseline, casingBaseline, wordsBaseline];

/** The share of pairs whose chosen text scores higher; ties count half. */
export function orderAccuracy(pairs: readonly PreferencePair[], score: Scorer): number {
  let right = 0;
  for (const pair of pairs) {
    const gap = score(pair.chosen) - score(pair.rejected);
    right += gap > 0 ? 1 : gap === 0 ? 0.5 : 0;
  }
  return right / pairs.length;
}

function better(pairs: readonly PreferencePair[], score: Scorer): Scorer {
  return orderAccuracy(pairs, score) >= 0.5 ? score : (text) => -score(text);
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}'’*$@]*/gu));
}
