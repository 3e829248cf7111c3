/** What is in a set of pairs: `fairl pairs`. One pass, memory bounded by hashes and a sample. */
import { FairlError, Random } from "../base/mod.ts";
import { BASELINES, orderAccuracy } from "./baselines.ts";
import { type PairCounts, PairLedger } from "./ledger.ts";
import { readPairs } from "./read.ts";
import type { ReadOptions, RowProblem } from "./rows.ts";
import type { PairKind, PreferencePair } from "./schema.ts";
import type { PairSet } from "./set.ts";
import { splitPairs } from "./split.ts";

/** How long the texts of one side are. */
export interface LengthStatistics {
  /** Mean number of characters (UTF-16 units). */
  readonly mean: number;
  /** The 5th, 50th and 95th percentile. */
  readonly percentiles: readonly [number, number, number];
  /** The longest. */
  readonly max: number;
}

/** How well an artefact of the data ranks pairs that it has not seen. */
export interface BaselineResult {
  /** "length", "casing" or "words". */
  readonly name: string;
  /** Share of the held-out pairs ranked right, ties counted half. */
  readonly pairAccuracy: number;
}

/** What `fairl pairs` prints. */
export interface PairsReport {
  /** The source or file. */
  readonly name: string;
  /** SHA-256 of what is kept. */
  readonly contentHash: string;
  /** What was read, kept, and left out. */
  readonly counts: PairCounts;
  /** Kept pairs by kind. */
  readonly kinds: Readonly<Record<PairKind | "unlabelled", number>>;
  /** Kept pairs by group, the largest first; from 100 groups on the rest is "(others)". */
  readonly groups: Readonly<Record<string, number>>;
  /** Kept pairs with a reference reward on both sides, and how many of them it orders alike. */
  readonly references: { readonly pairs: number; readonly agreeing: number };
  /** Lengths in characters. */
  readonly lengths: { readonly chosen: LengthStatistics; readonly rejected: LengthStatistics };
  /**
   * The baselines, fitted and tested on text-disjoint parts of a sample; null where so many
   * texts are shared that there are no such parts.
   */
  readonly baselines: {
    readonly train: number;
    readonly test: number;
    readonly results: readonly BaselineResult[];
  } | null;
}

/** The most pairs that the baselines see. */
const SAMPLE = 20_000;
/** The most groups that are told apart. */
const GROUPS = 100;

/** Describes pairs that are in memory. */
export function inspectPairs(set: PairSet, options: { readonly seed?: number } = {}): PairsReport {
  const census = new Census(options.seed ?? 0);
  for (const pair of set.pairs) census.add(pair);
  return census.report(set.name, set.counts, set.contentHash);
}

/**
 * Describes the pairs of a file without holding them: a million take about 200 MB.
 *
 * @param path A file, or "-" for standard input
 * @throws FairlError as {@linkcode readPairs} does; `pairs.empty` when no pair is left
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { inspectStream } from "./inspect.ts";
 * const path = await Deno.makeTempFile({ suffix: ".csv" });
 * await Deno.writeTextFile(path, "chosen,rejected,label\nfine,bad,T->NT\ngood,poor,\nok,ok,\n");
 * const report = await inspectStream(path);
 * assert(report.counts.kept === 2 && report.counts.equalTexts === 1);
 * assert(report.kinds["T->NT"] === 1 && report.kinds.unlabelled === 1);
 * await Deno.remove(path);
 * ```
 */
export async function inspectStream(
  path: string,
  options: ReadOptions & { readonly seed?: number } = {},
): Promise<PairsReport> {
  const ledger = new PairLedger();
  const census = new Census(options.seed ?? 0);
  const onProblem = (problem: RowProblem) => {
    ledger.problem(problem);
    options.onProblem?.(problem);
  };
  for await (const pair of readPairs(path, { ...options, onProblem })) {
    if (ledger.admit(pair)) census.add(pair);
  }
  return census.report(path, ledger.counts(), ledger.contentHash());
}

/** Counts kept pairs and draws a uniform sample of them (a reservoir). */
class Census {
  readonly #random: Random;
  readonly #seed: number;
  readonly #sample: PreferencePair[] = [];
  readonly #kinds = { "T->NT": 0, "T->T": 0, "NT->NT": 0, "NT->T": 0, unlabelled: 0 };
  readonly #groups = new Map<string, number>();
  readonly #chosen = new Lengths();
  readonly #rejected = new Lengths();
  readonly #references = { pairs: 0, agreeing: 0 };
  #seen = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new Random(seed, "pairs sample");
  }

  add(pair: PreferencePair): void {
    this.#seen++;
    this.#kinds[pair.label ?? "unlabelled"]++;
    this.#chosen.add(pair.chosen.length);
    this.#rejected.add(pair.rejected.length);
    if (pair.group !== undefined) {
      const group = this.#groups.has(pair.group) || this.#groups.size < GROUPS
        ? pair.group
        : "(others)";
      this.#groups.set(group, (this.#groups.get(group) ?? 0) + 1);
    }
    if (pair.chosenReference !== undefined && pair.rejectedReference !== undefined) {
      this.#references.pairs++;
      if (pair.chosenReference > pair.rejectedReference) this.#references.agreeing++;
    }
    if (this.#sample.length < SAMPLE) {
      this.#sample.push(pair);
    } else {
      const place = this.#random.integer(this.#seen);
      if (place < SAMPLE) this.#sample[place] = pair;
    }
  }

  report(name: string, counts: PairCounts, contentHash: string): PairsReport {
    if (this.#seen === 0) {
      throw new FairlError("pairs.empty", `${name}: of ${counts.read} rows no pair is left`);
    }
    const groups = [...this.#groups].sort(([, a], [, b]) => b - a);
    return {
      name,
      contentHash,
      counts,
      kinds: { ...this.#kinds },
      groups: Object.fromEntries(groups),
      references: { ...this.#references },
      lengths: { chosen: this.#chosen.statistics(), rejected: this.#rejected.statistics() },
      baselines: baselinesOf(this.#sample, this.#seed),
    };
  }
}

/** A histogram of lengths: exact percentiles, one entry for each length that occurs. */
class Lengths {
  readonly #counts = new Map<number, number>();
  #total = 0;
  #sum = 0;

  add(length: number): void {
    this.#counts.set(length, (this.#counts.get(length) ?? 0) + 1);
    this.#total++;
    this.#sum += length;
  }

  statistics(): LengthStatistics {
    const sorted = [...this.#counts].sort(([a], [b]) => a - b);
    const percentile = (share: number) => {
      let below = 0;
      for (const [length, count] of sorted) {
        if ((below += count) >= share * this.#total) return length;
      }
      return 0;
    };
    return {
      mean: this.#sum / this.#total,
      percentiles: [percentile(0.05), percentile(0.5), percentile(0.95)],
      max: sorted.at(-1)![0],
    };
  }
}

function baselinesOf(pairs: readonly PreferencePair[], seed: number): PairsReport["baselines"] {
  let split;
  try {
    split = splitPairs(pairs, { seed, validation: 0, test: 0.3 });
  } catch (error) {
    if (error instanceof FairlError && error.code === "pairs.cannot-split") return null;
    throw error;
  }
  const train = Array.from(split.train, (at) => pairs[at]!);
  const test = Array.from(split.test, (at) => pairs[at]!);
  return {
    train: train.length,
    test: test.length,
    results: BASELINES.map((baseline) => ({
      name: baseline.name,
      pairAccuracy: orderAccuracy(test, baseline.fit(train)),
    })),
  };
}
