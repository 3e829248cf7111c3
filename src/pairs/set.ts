/** Pairs in memory, with what was counted on the way and a hash that names them. */
import { FairlError } from "../base/mod.ts";
import { type PairCounts, PairLedger } from "./ledger.ts";
import type { PreferencePair } from "./schema.ts";

/** The known reward of a synthetic world, one row for each text of it. */
export interface Truth {
  /** The texts; each stands there once. */
  readonly texts: readonly string[];
  /** The prompt that each text answers. */
  readonly prompts: readonly string[];
  /** The true reward of each text, of about unit variance. */
  readonly reward: Float64Array;
  /** Features [texts, dimension], where the world is made of features; the texts are then names. */
  readonly features?: Float32Array<ArrayBuffer>;
  /** How many features a text has. */
  readonly dimension?: number;
}

/** Pairs that are ready to be used. */
export interface PairSet {
  /** The source's name or the file's. */
  readonly name: string;
  /** The pairs that are kept, in the order they were read. */
  readonly pairs: readonly PreferencePair[];
  /** What was counted. */
  readonly counts: PairCounts;
  /** SHA-256, in hexadecimal, of the kept pairs (and of given features); the order counts. */
  readonly contentHash: string;
  /** The known reward, in synthetic worlds. */
  readonly truth?: Truth;
}

/** A text with the judgement of people or of a known reward. */
export interface LabelledText {
  /** The text. */
  readonly text: string;
  /** Whether it is toxic. */
  readonly toxic: boolean;
}

/**
 * Makes a set of pairs: empty, equal and repeated ones are left out and counted.
 *
 * @throws FairlError `pairs.empty` when none is left
 */
export function pairSet(
  name: string,
  pairs: readonly PreferencePair[],
  options: { readonly truth?: Truth; readonly keepDuplicates?: boolean } = {},
): PairSet {
  const ledger = new PairLedger(options.keepDuplicates);
  return closeSet(name, pairs.filter((pair) => ledger.admit(pair)), ledger, options.truth);
}

/** Gives pairs that a ledger has admitted their counts and their hash. */
export function closeSet(
  name: string,
  pairs: readonly PreferencePair[],
  ledger: PairLedger,
  truth?: Truth,
): PairSet {
  const counts = ledger.counts();
  if (pairs.length === 0) {
    const codes = Object.entries(counts.problems).map(([code, count]) => `${count} x ${code}`);
    throw new FairlError(
      "pairs.empty",
      `${name}: of ${counts.read} rows no pair is left (` +
        [...codes, `${counts.emptyTexts} with an empty text`, `${counts.equalTexts} of equal texts`]
          .join(", ") +
        ")",
    );
  }
  if (truth?.features) ledger.include(new Uint8Array(truth.features.buffer));
  return {
    name,
    pairs,
    counts,
    contentHash: ledger.contentHash(),
    ...(truth === undefined ? {} : { truth }),
  };
}

/**
 * The distinct texts of pairs, and where each pair finds its two.
 *
 * @returns `texts` in order of first use; `chosen` and `rejected` [pairs], rows of `texts`
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { textsOf } from "./set.ts";
 * const { texts, chosen, rejected } = textsOf([
 *   { prompt: "", chosen: "good", rejected: "bad" },
 *   { prompt: "", chosen: "better", rejected: "good" },
 * ]);
 * assert(texts.join() === "good,bad,better");
 * assert(chosen.join() === "0,2" && rejected.join() === "1,0");
 * ```
 */
export function textsOf(
  pairs: readonly PreferencePair[],
): { texts: string[]; chosen: Int32Array; rejected: Int32Array } {
  const rows = new Map<string, number>();
  const rowOf = (text: string) => {
    let row = rows.get(text);
    if (row === undefined) rows.set(text, row = rows.size);
    return row;
  };
  const chosen = new Int32Array(pairs.length);
  const rejected = new Int32Array(pairs.length);
  for (const [at, pair] of pairs.entries()) {
    chosen[at] = rowOf(pair.chosen);
    rejected[at] = rowOf(pair.rejected);
  }
  return { texts: [...rows.keys()], chosen, rejected };
}
