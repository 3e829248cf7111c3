/** Training, validation and test pairs that share neither a prompt nor a text. */
import { FairlError, Random } from "../base/mod.ts";
import type { PreferencePair } from "./schema.ts";

/** Which pairs are used for what: ascending indices into the pairs. */
export interface PairSplit {
  /** For fitting. */
  readonly train: Int32Array;
  /** For early stopping, mixing weights and calibration. */
  readonly validation: Int32Array;
  /** For the figures that are reported. */
  readonly test: Int32Array;
}

/** How pairs are split. */
export interface SplitOptions {
  /** Which of the many splits. */
  readonly seed: number;
  /** Share of the pairs for validation. Default: 0.1. */
  readonly validation?: number;
  /** Share of the pairs for the test. Default: 0.2. */
  readonly test?: number;
}

/**
 * Splits pairs so that no text and no prompt stands in two parts. Pairs that share a text or a
 * prompt are one component; components are dealt out in random order, first to the test, then to
 * validation, as far as they fit in, and the rest to training. So the shares are upper bounds,
 * missed by less than the smallest component that is left.
 *
 * @throws FairlError `pairs.cannot-split` when a part that was asked for stays empty
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { splitPairs } from "./split.ts";
 * const pairs = Array.from({ length: 100 }, (_, at) => ({
 *   prompt: `question ${at >> 1}`,
 *   chosen: `good answer ${at}`,
 *   rejected: `bad answer ${at}`,
 * }));
 * const { train, validation, test } = splitPairs(pairs, { seed: 0 });
 * assert([train.length, validation.length, test.length].join() === "70,10,20");
 * ```
 */
export function splitPairs(pairs: readonly PreferencePair[], options: SplitOptions): PairSplit {
  const { seed, validation = 0.1, test = 0.2 } = options;
  const { of, sizes } = componentsOf(pairs);
  const wanted = [0, Math.round(validation * pairs.length), Math.round(test * pairs.length)];
  const room = [...wanted];
  const partOf = new Uint8Array(sizes.length);
  for (const component of new Random(seed, "pairs split").permutation(sizes.length)) {
    const size = sizes[component]!;
    const part = size <= room[2]! ? 2 : size <= room[1]! ? 1 : 0;
    room[part]! -= size;
    partOf[component] = part;
  }
  const parts: [number[], number[], number[]] = [[], [], []];
  for (let pair = 0; pair < pairs.length; pair++) parts[partOf[of[pair]!]!]!.push(pair);
  const names = ["training", "validation", "test"];
  const empty = parts.findIndex((part, at) => part.length === 0 && (at === 0 || wanted[at]! > 0));
  if (empty >= 0) {
    throw new FairlError(
      "pairs.cannot-split",
      `the ${names[empty]} part stays empty: ${pairs.length} pairs share texts or prompts so ` +
        `that they fall into only ${sizes.length} separate groups`,
    );
  }
  return {
    train: Int32Array.from(parts[0]),
    validation: Int32Array.from(parts[1]),
    test: Int32Array.from(parts[2]),
  };
}

/**
 * Groups pairs that are connected by a shared text or a shared prompt (union-find).
 *
 * @returns `of` [pairs], the component of each pair; `sizes` [components], in pairs
 */
export function componentsOf(
  pairs: readonly PreferencePair[],
): { of: Int32Array; sizes: number[] } {
  const parent = Int32Array.from({ length: pairs.length }, (_, at) => at);
  const root = (pair: number) => {
    while (parent[pair] !== pair) {
      parent[pair] = parent[parent[pair]!]!;
      pair = parent[pair]!;
    }
    return pair;
  };
  const firstWithText = new Map<string, number>();
  const firstWithPrompt = new Map<string, number>();
  const link = (seen: Map<string, number>, key: string, pair: number) => {
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, pair);
      return;
    }
    const a = root(first);
    const b = root(pair);
    // The earlier pair leads, so that components keep the order of their first pairs.
    parent[Math.max(a, b)] = Math.min(a, b);
  };
  for (const [at, pair] of pairs.entries()) {
    link(firstWithText, pair.chosen, at);
    link(firstWithText, pair.rejected, at);
    if (pair.prompt !== "") link(firstWithPrompt, pair.prompt, at);
  }
  const of = new Int32Array(pairs.length);
  const sizes: number[] = [];
  for (let pair = 0; pair < pairs.length; pair++) {
    const leader = root(pair);
    const component = leader === pair ? sizes.push(0) - 1 : of[leader]!;
    of[pair] = component;
    sizes[component]!++;
  }
  return { of, sizes };
}
