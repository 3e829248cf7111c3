/** Where a number stands among others: quantiles and histograms. */

/** Counts of values in bins of equal width. */
export interface Histogram {
  /** The bins' limits, one more than there are bins. */
  readonly edges: Float64Array;
  /** How many values each bin has. */
  readonly counts: Int32Array;
}

/**
 * The value at a quantile, on straight lines between the sorted values (type 7 of Hyndman and Fan).
 *
 * @param sorted Rising values, at least one
 * @param share In [0, 1]
 *
 * @example The median of four
 * ```ts
 * import { assert } from "@std/assert";
 * import { quantile } from "./distribution.ts";
 * assert(quantile([1, 2, 4, 8], 0.5) === 3);
 * ```
 */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  // Between equal values this is exactly that value, rounding or not.
  return low === high ? low : low + (position - below) * (high - low);
}

/**
 * The quantile at which a value stands among sorted reference values: the inverse of
 * {@link quantile}. Amid equal values it is the middle of their run.
 *
 * The reference may be a whole sample or a table of evenly spaced quantiles of one.
 *
 * @param sorted Rising reference values, at least two
 * @param value Any number
 * @returns a number in [0, 1]: 0 below the reference, 1 above it
 *
 * @example Half-way between the second and the third of five
 * ```ts
 * import { assert } from "@std/assert";
 * import { quantileOf } from "./distribution.ts";
 * assert(quantileOf([0, 1, 2, 3, 4], 1.5) === 0.375);
 * ```
 */
export function quantileOf(sorted: ArrayLike<number>, value: number): number {
  const last = sorted.length - 1;
  if (value < sorted[0]!) return 0;
  if (value > sorted[last]!) return 1;
  const first = firstIndex(sorted, (other) => other >= value);
  if (sorted[first] === value) {
    return (first + firstIndex(sorted, (other) => other > value) - 1) / 2 / last;
  }
  const low = sorted[first - 1]!;
  return (first - 1 + (value - low) / (sorted[first]! - low)) / last;
}

/**
 * Counts values in bins of equal width. Values outside the range count in the first or last bin, so
 * that the counts always add up.
 *
 * @param values What to count
 * @param options `bins`: their number; `low`, `high`: the range, by default that of the values. Give
 *   it to make two histograms comparable
 *
 * @example Two bins
 * ```ts
 * import { assert } from "@std/assert";
 * import { histogram } from "./distribution.ts";
 * assert(histogram([0, 1, 2, 3, 4], { bins: 2 }).counts.join() === "2,3");
 * ```
 */
export function histogram(
  values: ArrayLike<number>,
  options: { bins?: number; low?: number; high?: number } = {},
): Histogram {
  const { bins = 40 } = options;
  let low = options.low ?? Infinity;
  let high = options.high ?? -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (options.low === undefined) low = Math.min(low, values[i]!);
    if (options.high === undefined) high = Math.max(high, values[i]!);
  }
  const edges = Float64Array.from(
    { length: bins + 1 },
    (_, edge) => low + (high - low) * edge / bins,
  );
  const counts = new Int32Array(bins);
  for (let i = 0; i < values.length; i++) {
    // All values equal: no width, one full bin.
    const bin = high > low ? Math.floor(bins * (values[i]! - low) / (high - low)) : 0;
    counts[Math.min(bins - 1, Math.max(0, bin))]!++;
  }
  return { edges, counts };
}

/** The first index at which a condition that stays true becomes true; the length where it never does. */
function firstIndex(sorted: ArrayLike<number>, holds: (value: number) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(sorted[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
