/** STARC and EPIC in a contextual bandit: one reward per (prompt, completion), no next states. */
import { bootstrap, clusterIds, type Interval } from "../metrics/mod.ts";
import { NO_OPINION, normOf, standardise } from "./norm.ts";

/** Which rows belong together and how much each counts. */
export interface BanditOptions {
  /**
   * The prompt of each row, any integers (see `clusterIds`). Give all texts without a prompt the
   * same one. Left out: all rows are one group.
   */
  readonly groups?: ArrayLike<number>;
  /** How often each row counts, in the mean of its group and in the norm; once where left out. */
  readonly weights?: ArrayLike<number>;
}

/** Options of {@link starc}. */
export interface StarcOptions extends BanditOptions {
  /** What to normalise by and measure with. */
  readonly norm?: "l1" | "l2";
}

/** Options of {@link starcInterval} and {@link epicInterval}. */
export interface IntervalOptions extends StarcOptions {
  /**
   * What to resample, per row. Left out: the prompts; or, where all rows are one group, the rows.
   * Texts without a prompt that came in pairs belong in the pair's cluster.
   */
  readonly clusters?: ArrayLike<number>;
  /** Fixes the draws. */
  readonly seed: number;
  /** How many times to draw. */
  readonly resamples?: number;
  /** How often the interval should hold the truth. */
  readonly level?: number;
}

/** A reward less what cannot matter to a policy. */
export interface Canonical {
  /** R(x, y) - E R(x, y') per row; 0 for a row that is alone with its prompt. */
  readonly values: Float64Array<ArrayBuffer>;
  /** Prompts with a single completion: they carry no information and weigh nothing. */
  readonly dropped: number;
}

/** A distance, how sure it is, and what it left out. */
export interface StarcInterval extends Interval {
  /** Prompts with a single completion. */
  readonly dropped: number;
}

/**
 * Takes from each reward the mean over its prompt's completions: c(R)(x, y) = R(x, y) - E R(x, y').
 *
 * In a bandit nothing else cannot matter but a positive scale, so this is STARC's canonical form
 * (K: Skalse et al., arXiv 2309.15257, definition 1, at a discount of 0; C: y' is uniform over the
 * completions at hand).
 *
 * @param rewards One per row
 *
 * @example A constant per prompt goes away, and so does a lone completion
 * ```ts
 * import { assert } from "@std/assert";
 * import { canonicalise } from "./bandit.ts";
 * const { values, dropped } = canonicalise([1, 3, 10, 14, 7], { groups: [0, 0, 1, 1, 2] });
 * assert(values.join() === "-1,1,-2,2,0" && dropped === 1);
 * ```
 */
export function canonicalise(
  rewards: ArrayLike<number>,
  { groups, weights }: BanditOptions = {},
): Canonical {
  const prompts = new Prompts(rewards.length, groups);
  const values = Float64Array.from(rewards);
  // The second pass takes out what rounding left of a large mean in the first.
  prompts.centre(values, weights);
  prompts.centre(values, weights);
  return { values, dropped: prompts.alone };
}

/**
 * The STARC distance of two rewards over the same rows: canonicalise, divide by the norm, half the
 * norm of the difference.
 *
 * 0: the same order of policies (equal up to a positive scale and a constant per prompt); sqrt(1/2)
 * under l2: unrelated; 1: opposite. A reward with no opinion (constant on every prompt) is 1/2 from
 * any other and 0 from another such.
 *
 * Regret is bounded by it: a policy that is best under b loses at most 2 sqrt(2 prompts) starc(a, b)
 * in units of a's l2 norm (docs/starc.md).
 *
 * @param a One reward per row
 * @param b One reward per row
 * @returns a number in [0, 1]; NaN where a reward is NaN
 *
 * @example Scale and per-prompt constants do not matter, the sign does
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { starc } from "./bandit.ts";
 * const groups = [0, 0, 1, 1];
 * assertAlmostEquals(starc([1, 2, 5, 3], [12, 14, 6, 2], { groups }), 0);
 * assertAlmostEquals(starc([1, 2, 5, 3], [-1, -2, -5, -3], { groups }), 1);
 * ```
 */
export function starc(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: StarcOptions = {},
): number {
  return starcStatistic(a, b, options)();
}

/**
 * The EPIC distance: sqrt((1 - Pearson) / 2) of the rewards centred per prompt (K: Gleave et al.,
 * arXiv 2006.13900, definitions 4.1 to 4.7, at a discount of 0).
 *
 * With the same groups this is {@link starc} under l2, and computed as such: what sets the two apart
 * in an MDP, the treatment of next states, a bandit lacks. Without groups it is the plain Pearson
 * distance that is often printed under this name, which a constant per prompt does move.
 *
 * @param a One reward per row
 * @param b One reward per row
 * @returns a number in [0, 1]; NaN where a reward is NaN
 *
 * @example Orthogonal rewards are unrelated
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { epic } from "./bandit.ts";
 * assertAlmostEquals(epic([1, -1, 1, -1], [1, 1, -1, -1]), Math.SQRT1_2);
 * ```
 */
export function epic(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: BanditOptions = {},
): number {
  return starc(a, b, { ...options, norm: "l2" });
}

/**
 * {@link starc} of resampled rows: a function of a weight per row, for one `bootstrap` together with
 * other figures. The means per prompt are taken anew under the weights.
 *
 * @param a One reward per row
 * @param b One reward per row
 *
 * @example Two distances to one reference, and their paired difference
 * ```ts
 * import { assert } from "@std/assert";
 * import { bootstrap } from "../metrics/mod.ts";
 * import { starcStatistic } from "./bandit.ts";
 * const groups = [0, 0, 1, 1, 2, 2, 3, 3];
 * const truth = [1, 0, 2, 0, 1, 0, 3, 0];
 * const near = starcStatistic([1, 0, 2, 0, 1, 0, 2, 0], truth, { groups });
 * const far = starcStatistic([1, 0, 0, 1, 1, 0, 2, 0], truth, { groups });
 * const { gain } = bootstrap({ gain: (w) => far(w) - near(w) }, { clusters: groups, seed: 0 });
 * assert(gain.value > 0 && gain.n === 4);
 * ```
 */
export function starcStatistic(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: StarcOptions = {},
): (weights?: Float64Array) => number {
  const { norm = "l2", weights: own } = options;
  const prompts = new Prompts(a.length, options.groups);
  // Of size 1, so that a resample without an opinion can be told from a small reward.
  const [unitA, unitB] = [a, b].map((rewards) =>
    standardise(canonicalise(rewards, options).values, rewards, norm, own)
  ) as [Float64Array, Float64Array];
  const [x, y] = [new Float64Array(a.length), new Float64Array(a.length)];
  return (counts) => {
    const weights = counts && own ? counts.map((count, row) => count * own[row]!) : counts ?? own;
    x.set(unitA);
    y.set(unitB);
    prompts.centre(x, weights);
    prompts.centre(y, weights);
    const [sizeX, sizeY] = [normOf(x, norm, weights), normOf(y, norm, weights)];
    const scaleX = sizeX <= NO_OPINION ? 0 : 1 / sizeX;
    const scaleY = sizeY <= NO_OPINION ? 0 : 1 / sizeY;
    for (let row = 0; row < x.length; row++) x[row] = x[row]! * scaleX - y[row]! * scaleY;
    return Math.min(1, normOf(x, norm, weights) / 2);
  };
}

/**
 * {@link starc} with a bootstrap interval over prompts, or over `clusters`.
 *
 * @param a One reward per row
 * @param b One reward per row
 *
 * @example Between two noisy readings of one reward
 * ```ts
 * import { assert } from "@std/assert";
 * import { starcInterval } from "./bandit.ts";
 * const groups = [0, 0, 1, 1, 2, 2, 3];
 * const d = starcInterval([1, 2, 5, 3, 0, 1, 9], [2, 4, 4, 3, 1, 2, 0], { groups, seed: 0 });
 * assert(d.low <= d.value && d.value <= d.high && d.dropped === 1);
 * ```
 */
export function starcInterval(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: IntervalOptions,
): StarcInterval {
  const prompts = new Prompts(a.length, options.groups);
  const clusters = options.clusters ?? (prompts.count > 1 ? prompts.of : a.length);
  const statistics = { distance: starcStatistic(a, b, options) };
  const { distance } = bootstrap(statistics, { ...options, clusters });
  return { ...distance, dropped: prompts.alone };
}

/**
 * {@link epic} with a bootstrap interval over prompts, or over `clusters`.
 *
 * @param a One reward per row
 * @param b One reward per row
 *
 * @example Without prompts the rows are resampled
 * ```ts
 * import { assert } from "@std/assert";
 * import { epicInterval } from "./bandit.ts";
 * assert(epicInterval([1, 2, 5, 3], [2, 4, 4, 3], { seed: 0 }).n === 4);
 * ```
 */
export function epicInterval(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: IntervalOptions,
): StarcInterval {
  return starcInterval(a, b, { ...options, norm: "l2" });
}

/** Which rows share a prompt. */
class Prompts {
  /** The prompt of each row, counted from 0. */
  readonly of: Int32Array;
  readonly count: number;
  /** How many prompts have a single row. */
  readonly alone: number;
  readonly #sums: Float64Array;
  readonly #totals: Float64Array;

  constructor(rows: number, groups?: ArrayLike<number>) {
    this.of = groups ? clusterIds(groups) : new Int32Array(rows);
    this.count = this.of.reduce((most, prompt) => Math.max(most, prompt + 1), 0);
    const sizes = new Int32Array(this.count);
    for (const prompt of this.of) sizes[prompt]!++;
    this.alone = sizes.reduce((sum, size) => sum + Number(size === 1), 0);
    this.#sums = new Float64Array(this.count);
    this.#totals = new Float64Array(this.count);
  }

  /** Takes each prompt's mean from its rows, in place. A prompt that weighs nothing is left as it is. */
  centre(values: Float64Array, weights?: ArrayLike<number>): void {
    this.#sums.fill(0);
    this.#totals.fill(0);
    for (let row = 0; row < values.length; row++) {
      const weight = weights ? weights[row]! : 1;
      this.#sums[this.of[row]!]! += weight * values[row]!;
      this.#totals[this.of[row]!]! += weight;
    }
    for (let row = 0; row < values.length; row++) {
      const total = this.#totals[this.of[row]!]!;
      if (total > 0) values[row]! -= this.#sums[this.of[row]!]! / total;
    }
  }
}
