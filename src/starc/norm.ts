/** Norms, and the distance of two rewards once each is divided by its own. */

/** A sum of sizes, the root of a sum of squares, or the largest size. */
export type Norm = "l1" | "l2" | "linf";

/**
 * A reward whose canonical form has no value above this share of the largest reward is constant up to
 * rounding: it has no opinion, and its norm counts as zero (C).
 */
export const NO_OPINION = 1e-10;

/** The norm of values; a weight counts its entry that many times (and only whether at all in linf). */
export function normOf(
  values: ArrayLike<number>,
  norm: Norm,
  weights?: ArrayLike<number>,
): number {
  let result = 0;
  for (let i = 0; i < values.length; i++) {
    const weight = weights ? weights[i]! : 1;
    const size = Math.abs(values[i]!);
    if (norm === "l2") result += weight * size * size;
    else if (norm === "l1") result += weight * size;
    else if (weight > 0) result = Math.max(result, size);
  }
  return norm === "l2" ? Math.sqrt(result) : result;
}

/**
 * Divides a canonical reward by its norm, in place; one with no opinion becomes zero.
 *
 * @param canonical What to divide
 * @param reward What it was made from, which says how much of it is rounding
 */
export function standardise(
  canonical: Float64Array<ArrayBuffer>,
  reward: ArrayLike<number>,
  norm: Norm,
  weights?: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const largest = normOf(canonical, "linf", weights);
  if (largest <= NO_OPINION * normOf(reward, "linf")) return canonical.fill(0);
  // By the largest first: squares of very small or very large rewards leave the range of a double.
  for (let i = 0; i < canonical.length; i++) canonical[i]! /= largest;
  const size = normOf(canonical, norm, weights);
  for (let i = 0; i < canonical.length; i++) canonical[i]! /= size;
  return canonical;
}

/** Half the norm of the difference of two standardised rewards: in [0, 1]. */
export function halfDistance(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  norm: Norm,
  weights?: ArrayLike<number>,
): number {
  const difference = Float64Array.from(a, (value, i) => value - b[i]!);
  return Math.min(1, normOf(difference, norm, weights) / 2);
}
