/** How two raters of the same rows agree: correlations, and who is right where the other is wrong. */

/** What {@link mcnemar} finds. */
export interface McNemar {
  /** Rows that the first alone gets right. */
  readonly onlyFirst: number;
  /** Rows that the second alone gets right. */
  readonly onlySecond: number;
  /** Two-sided exact probability of a split at least this uneven if both were equally good. */
  readonly p: number;
}

/**
 * McNemar's test on paired decisions: of the rows where exactly one is right, who is it? The
 * binomial probability is exact at every count. Rows must be independent: where several share a
 * prompt, bootstrap the difference over prompts instead.
 *
 * @param first Per row, whether the first is right (1 or true)
 * @param second Per row, whether the second is right
 *
 * @example Six to none is unlikely between equals
 * ```ts
 * import { assert } from "@std/assert";
 * import { mcnemar } from "./agreement.ts";
 * const { onlyFirst, p } = mcnemar([1, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0]);
 * assert(onlyFirst === 6 && Math.abs(p - 2 / 64) < 1e-12);
 * ```
 */
export function mcnemar(
  first: ArrayLike<number | boolean>,
  second: ArrayLike<number | boolean>,
): McNemar {
  let onlyFirst = 0;
  let onlySecond = 0;
  for (let i = 0; i < first.length; i++) {
    if (first[i] && !second[i]) onlyFirst++;
    if (!first[i] && second[i]) onlySecond++;
  }
  const tail = binomialTail(Math.min(onlyFirst, onlySecond), onlyFirst + onlySecond);
  return { onlyFirst, onlySecond, p: Math.min(1, 2 * tail) };
}

/**
 * Pearson's correlation.
 *
 * @param a One number per row
 * @param b One number per row
 * @param weights How often each row counts; once where left out
 * @returns a number in [-1, 1]; NaN where either does not vary
 *
 * @example A straight line down
 * ```ts
 * import { assert } from "@std/assert";
 * import { pearson } from "./agreement.ts";
 * assert(pearson([1, 2, 3], [6, 4, 2]) === -1);
 * ```
 */
export function pearson(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  let [total, sumA, sumB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const weight = weights?.[i] ?? 1;
    total += weight;
    sumA += weight * a[i]!;
    sumB += weight * b[i]!;
  }
  const [meanA, meanB] = [sumA / total, sumB / total];
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const weight = weights?.[i] ?? 1;
    const [x, y] = [a[i]! - meanA, b[i]! - meanB];
    aa += weight * x * x;
    bb += weight * y * y;
    ab += weight * x * y;
  }
  return Math.max(-1, Math.min(1, ab / Math.sqrt(aa * bb)));
}

/**
 * Spearman's rank correlation; equal values share their mean rank.
 *
 * @param a One number per row
 * @param b One number per row
 * @returns a number in [-1, 1]; NaN where either does not vary
 *
 * @example Any rising curve is in perfect rank agreement
 * ```ts
 * import { assert } from "@std/assert";
 * import { spearman } from "./agreement.ts";
 * assert(spearman([1, 2, 3], [1, 10, 100]) === 1);
 * ```
 */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return pearson(ranks(a), ranks(b));
}

function ranks(values: ArrayLike<number>): Float64Array {
  const order = Int32Array.from({ length: values.length }, (_, row) => row);
  order.sort((x, y) => values[x]! - values[y]!);
  const rank = new Float64Array(values.length);
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let at = start; at < end; at++) rank[order[at]!] = (start + end - 1) / 2;
  }
  return rank;
}

/** P(X <= k) of a fair coin thrown n times; summed from the largest term down, in logarithms. */
function binomialTail(k: number, n: number): number {
  let logTerm = -n * Math.LN2;
  for (let j = 0; j < k; j++) logTerm += Math.log((n - j) / (j + 1));
  let term = 1;
  let sum = 0;
  for (let j = k; j >= 0; j--) {
    sum += term;
    term *= j / (n - j + 1);
  }
  return Math.exp(logTerm) * sum;
}
