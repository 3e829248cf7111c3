/** Pairs by name or by file, ready to be used. */
import { FairlError } from "../base/mod.ts";
import { davidsonPairs, loadDavidson } from "./davidson.ts";
import { PairLedger } from "./ledger.ts";
import { loadMixture, type MixtureOptions } from "./mixture.ts";
import { detoxPairs, loadParadetox } from "./paradetox.ts";
import { readPairs } from "./read.ts";
import type { ReadOptions, RowProblem } from "./rows.ts";
import type { PreferencePair } from "./schema.ts";
import { closeSet, type PairSet, pairSet } from "./set.ts";
import type { FetchOptions } from "./sources.ts";
import { type SyntheticOptions, syntheticPairs } from "./synthetic.ts";

/** The names that stand for pairs without a file. */
export const NAMED_PAIRS = ["paradetox", "davidson", "mixture", "synthetic"] as const;

/** How pairs are loaded. */
export interface LoadOptions extends ReadOptions, FetchOptions {
  /** Fixes what is drawn in `davidson`, `mixture` and `synthetic`. Default: 0. */
  readonly seed?: number;
  /** Whether repeated pairs are used as often as they stand there. Default: false. */
  readonly keepDuplicates?: boolean;
  /** What kind of world `synthetic` is. */
  readonly synthetic?: SyntheticOptions;
  /** What `mixture` mixes. */
  readonly mixture?: Omit<MixtureOptions, "seed">;
}

/**
 * Loads pairs into memory: a named source ({@linkcode NAMED_PAIRS}), a file, or "-" for JSONL on
 * standard input. A file that has the name of a source is reached as `./paradetox`.
 *
 * @throws FairlError as {@linkcode readPairs}, {@linkcode fetchSource},
 * {@linkcode syntheticPairs} and {@linkcode mixturePairs} do; `pairs.empty`
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { loadPairs } from "./load.ts";
 * const { pairs, truth } = await loadPairs("synthetic", { seed: 1, synthetic: { prompts: 10 } });
 * assert(pairs.length === 20 && truth?.texts.length === 40);
 * ```
 */
export async function loadPairs(nameOrPath: string, options: LoadOptions = {}): Promise<PairSet> {
  const { seed = 0 } = options;
  const named = (pairs: PreferencePair[]) =>
    pairSet(nameOrPath, pairs, { keepDuplicates: options.keepDuplicates ?? false });
  switch (nameOrPath) {
    case "paradetox":
      return named(detoxPairs(await loadParadetox(options)));
    case "davidson":
      return named(davidsonPairs(await loadDavidson(options), seed));
    case "mixture":
      return await loadMixture({ ...options, ...options.mixture, seed });
    case "synthetic":
      return syntheticPairs(options.synthetic ?? {}, seed);
  }
  try {
    return await loadFile(nameOrPath, options);
  } catch (error) {
    if (!(error instanceof FairlError && error.code === "pairs.not-found")) throw error;
    throw new FairlError(
      error.code,
      `${error.message}, and the named pairs are ${NAMED_PAIRS.join(", ")}`,
      { cause: error },
    );
  }
}

async function loadFile(path: string, options: LoadOptions): Promise<PairSet> {
  const ledger = new PairLedger(options.keepDuplicates);
  const onProblem = (problem: RowProblem) => {
    ledger.problem(problem);
    options.onProblem?.(problem);
  };
  const pairs: PreferencePair[] = [];
  for await (const pair of readPairs(path, { ...options, onProblem })) {
    if (ledger.admit(pair)) pairs.push(pair);
  }
  return closeSet(path, pairs, ledger);
}
