/** Bootstrap intervals over clusters: every figure of a table from one set of resamples. */
import { Random } from "../base/mod.ts";
import { quantile } from "./distribution.ts";

/** A figure and how sure it is. */
export interface Interval {
  /** The figure on the data as they are. */
  readonly value: number;
  /** Lower limit. */
  readonly low: number;
  /** Upper limit. */
  readonly high: number;
  /** How many clusters were resampled: the sample size that the width depends on. */
  readonly n: number;
}

/**
 * A figure of a data set whose rows count as often as `weights` says. NaN where it is not defined
 * (an AUC without one of the labels).
 */
export type Statistic = (weights: Float64Array) => number;

/** How {@link bootstrap} draws. */
export interface BootstrapOptions {
  /** The cluster of each row, any integers; a number where each of that many rows is its own. */
  readonly clusters: ArrayLike<number> | number;
  /** Fixes the draws. */
  readonly seed: number;
  /** How many times to draw. */
  readonly resamples?: number;
  /** How often the interval should hold the truth. */
  readonly level?: number;
  /** Where the limits are read; see docs/starc.md for what was measured. */
  readonly method?: "bca" | "percentile";
}

/**
 * Intervals by resampling whole clusters (prompts, or whatever rows share), since rows of one
 * cluster are not independent.
 *
 * Every statistic sees the same resamples. So a paired comparison is one more statistic, the
 * difference of two, and costs no more than a figure. A resample is a weight per row, not a copy of
 * the rows: a statistic that sorted its rows once (`Ranked`) sorts no more.
 *
 * `bca` (the default) corrects percentile limits for bias and skewness (Efron 1987), the
 * acceleration from a jackknife over at most 200 groups of clusters.
 *
 * @param statistics What to compute, by name
 * @returns an interval per name; its limits are NaN where the figure is, or with fewer than two
 *   clusters. Resamples on which a figure is not defined are left out for it
 *
 * @example Two accuracies and their paired difference
 * ```ts
 * import { assert } from "@std/assert";
 * import { bootstrap } from "./bootstrap.ts";
 * import { pairAccuracy } from "./decisions.ts";
 * const [a, b] = [[1, 1, 1, -1, 1, 1], [1, -1, 1, -1, 1, -1]];
 * const { difference } = bootstrap({
 *   a: (weights) => pairAccuracy(a, weights),
 *   b: (weights) => pairAccuracy(b, weights),
 *   difference: (weights) => pairAccuracy(a, weights) - pairAccuracy(b, weights),
 * }, { clusters: 6, seed: 0 });
 * assert(Math.abs(difference.value - 1 / 3) < 1e-12 && difference.low <= difference.value);
 * ```
 */
export function bootstrap<Name extends string>(
  statistics: Record<Name, Statistic>,
  options: BootstrapOptions,
): Record<Name, Interval> {
  const { resamples = 1000, level = 0.95, method = "bca" } = options;
  const { ids, n } = denseClusters(options.clusters);
  const names = Object.keys(statistics) as Name[];
  const weights = new Float64Array(ids.length).fill(1);
  const random = new Random(options.seed, "bootstrap");

  const values = names.map((name) => statistics[name](weights));
  const draws = names.map(() => new Float64Array(resamples));
  const count = new Int32Array(n);
  for (let draw = 0; draw < resamples; draw++) {
    count.fill(0);
    for (let i = 0; i < n; i++) count[random.integer(n)]!++;
    for (let row = 0; row < ids.length; row++) weights[row] = count[ids[row]!]!;
    names.forEach((name, at) => draws[at]![draw] = statistics[name](weights));
  }

  const accelerations = method === "bca"
    ? jackknife(names.map((name) => statistics[name]), ids, n, random)
    : names.map(() => 0);
  const result = {} as Record<Name, Interval>;
  names.forEach((name, at) => {
    const value = values[at]!;
    const sorted = draws[at]!.filter((draw) => !Number.isNaN(draw)).sort();
    const unknown = n < 2 || Number.isNaN(value) || sorted.length === 0;
    const bias = method === "bca" ? biasOf(sorted, value) : 0;
    const limit = (share: number) =>
      unknown ? NaN : quantile(sorted, corrected(share, bias, accelerations[at]!));
    result[name] = { value, low: limit((1 - level) / 2), high: limit((1 + level) / 2), n };
  });
  return result;
}

/**
 * Integers for keys: equal keys get equal integers, counted from 0 in the order of first sight.
 *
 * @param keys One key per row, such as its prompt
 *
 * @example Rows of the same prompt share a cluster
 * ```ts
 * import { assert } from "@std/assert";
 * import { clusterIds } from "./bootstrap.ts";
 * assert(clusterIds(["a", "b", "a"]).join() === "0,1,0");
 * ```
 */
export function clusterIds(keys: ArrayLike<string | number>): Int32Array<ArrayBuffer> {
  const seen = new Map<string | number, number>();
  return Int32Array.from(keys, (key) => {
    let id = seen.get(key);
    if (id === undefined) seen.set(key, id = seen.size);
    return id;
  });
}

function denseClusters(clusters: ArrayLike<number> | number): { ids: Int32Array; n: number } {
  if (typeof clusters === "number") {
    return { ids: Int32Array.from({ length: clusters }, (_, row) => row), n: clusters };
  }
  const ids = clusterIds(clusters);
  return { ids, n: ids.reduce((most, id) => Math.max(most, id + 1), 0) };
}

/** At most this many leave-outs: groups of clusters estimate the skewness of the mean as well. */
const JACKKNIFE_GROUPS = 200;

/** BCa's acceleration of each statistic: a sixth of the skewness of its jackknife influences. */
function jackknife(
  statistics: Statistic[],
  ids: Int32Array,
  n: number,
  random: Random,
): number[] {
  const groups = Math.min(n, JACKKNIFE_GROUPS);
  const groupOf = random.permutation(n).map((place) => place % groups);
  const weights = new Float64Array(ids.length);
  const left = statistics.map(() => new Float64Array(groups));
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < ids.length; row++) weights[row] = groupOf[ids[row]!] === group ? 0 : 1;
    statistics.forEach((statistic, at) => left[at]![group] = statistic(weights));
  }
  return left.map((all) => {
    const defined = all.filter((value) => !Number.isNaN(value));
    const mean = defined.reduce((sum, value) => sum + value, 0) / defined.length;
    let [squares, cubes] = [0, 0];
    for (const value of defined) {
      squares += (mean - value) ** 2;
      cubes += (mean - value) ** 3;
    }
    return squares > 0 ? cubes / (6 * squares ** 1.5) : 0;
  });
}

/** BCa's bias: how far the figure stands from the median of its resamples, in normal deviations. */
function biasOf(sorted: Float64Array, value: number): number {
  let below = 0;
  for (const draw of sorted) below += draw < value ? 1 : draw === value ? 0.5 : 0;
  const half = 0.5 / sorted.length;
  return normalQuantile(Math.min(1 - half, Math.max(half, below / sorted.length)));
}

/** The share at which BCa reads the resamples for a nominal one. */
function corrected(share: number, bias: number, acceleration: number): number {
  const z = bias + normalQuantile(share);
  return normalCdf(bias + z / (1 - acceleration * z));
}

/** The standard normal distribution function, by its Taylor series around 0 (Marsaglia 2004). */
function normalCdf(x: number): number {
  // Beyond 8 the tail is under 1e-15, and the series would need hundreds of terms.
  if (Math.abs(x) > 8) return x > 0 ? 1 : 0;
  let term = x;
  let sum = x;
  for (let i = 3; Math.abs(term) > 1e-17 * Math.abs(sum); i += 2) {
    term *= x * x / i;
    sum += term;
  }
  return 0.5 + sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
}

/** Its inverse, by Newton from 0, which never overshoots: the function is concave beyond 0. */
function normalQuantile(share: number): number {
  if (share < 0.5) return -normalQuantile(1 - share);
  let x = 0;
  for (let step = 1; step > 1e-12;) {
    step = (share - normalCdf(x)) * Math.sqrt(2 * Math.PI) * Math.exp(x * x / 2);
    x += step;
  }
  return x;
}
