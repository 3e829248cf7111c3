/** How well gaps separate chosen from rejected, whatever their scale: the one model selector. */
import { FairlError } from "../base/mod.ts";

/**
 * V(gaps) = min over t > 0 of the mean of softplus(-(gap / sd gap) / t), in nats (C: METHOD.md).
 *
 * The loss of the best-calibrated Bradley-Terry model with these gaps. Scaling all gaps by a positive
 * number changes nothing, so that rewards of different scales and objectives can be compared. Every
 * method chooses its epoch, its settings and its mixing weight by this number on the validation pairs.
 *
 * @param gaps R(chosen) - R(rejected) of each pair
 * @returns a number in (0, ln 2]; ln 2 when the gaps tell nothing or point the wrong way
 * @throws FairlError `irl.empty` when there is no gap
 *
 * @example Scale does not matter, order does
 * ```ts
 * import { assert } from "@std/assert";
 * import { separation } from "./separation.ts";
 * const good = separation([3, 2, 1, -0.5]);
 * assert(Math.abs(good - separation([30, 20, 10, -5])) < 1e-9);
 * assert(good < separation([3, 2, -1, -2]));
 * ```
 */
export function separation(gaps: ArrayLike<number>): number {
  const losses = calibratedLosses(gaps);
  let sum = 0;
  for (const loss of losses) sum += loss;
  return sum / losses.length;
}

/** Quantile of the normal distribution that a difference must pass to count. */
const ONE_SIDED_5_PERCENT = 1.645;
/** In nats; rewards that separate all pairs have losses that differ by rounding alone. */
const NOTHING = 1e-9;

/**
 * Whether a reward separates pairs as well as the best one does, as far as these pairs can tell: its
 * mean loss is not significantly higher (paired differences, one-sided, at 5 %). Of rewards that
 * cannot be told apart the simplest is taken, since what more another one has is fitted to these
 * pairs (C; K: the one-standard-error rule of Breiman et al. 1984, section 3.4.3, whose level is 16 %).
 *
 * @param losses {@linkcode calibratedLosses} of the reward in question
 * @param best Those of the reward whose mean is lowest, of the same pairs
 * @param independent How many of the pairs are independent: comparisons across pairs are not
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { asGoodAs, calibratedLosses } from "./separation.ts";
 * const best = calibratedLosses([3, 2, 1, 2]);
 * assert(asGoodAs(calibratedLosses([3, 2, 1, 2.1]), best, 4));
 * assert(!asGoodAs(calibratedLosses([-1, -2, -1, -2]), best, 4));
 * ```
 */
export function asGoodAs(
  losses: Float64Array,
  best: Float64Array,
  independent: number,
): boolean {
  const worse = losses.map((loss, pair) => loss - best[pair]!);
  let mean = 0;
  for (const difference of worse) mean += difference / worse.length;
  return mean <= NOTHING + ONE_SIDED_5_PERCENT * deviation(worse) / Math.sqrt(independent);
}

/**
 * Loss of each pair in nats under the best-calibrated Bradley-Terry model with these gaps.
 *
 * @throws FairlError `irl.empty` when there is no gap
 */
export function calibratedLosses(gaps: ArrayLike<number>): Float64Array {
  const count = gaps.length;
  if (count === 0) throw new FairlError("irl.empty", "There is no pair to judge a reward on");
  const losses = new Float64Array(count).fill(Math.LN2);
  const spread = deviation(gaps);
  if (!(spread > 0)) return losses;
  // The loss is convex in s = 1 / t and its derivative is monotone: bisect on that, in log s.
  const slope = (s: number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const z = gaps[i]! / spread;
      sum -= z / (1 + Math.exp(s * z));
    }
    return sum;
  };
  if (slope(0) >= 0) return losses;
  let low = 0;
  let high = 1;
  while (slope(high) < 0 && high < SHARPEST) high *= 2;
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (slope(middle) < 0) low = middle;
    else high = middle;
  }
  return losses.map((_, i) => softplus(-low * gaps[i]! / spread));
}

/** Gaps that are all right have no best temperature; 1 / t stops here. */
const SHARPEST = 1024;

/** Deviation of values around their mean. */
export function deviation(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2;
  return Math.sqrt(squares / values.length);
}

function softplus(x: number): number {
  return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}
