/** Figures that need the scores in order: sorted once, then each resample is one pass. */
import { FairlError } from "../base/mod.ts";

/** One point of a ROC curve. */
export interface RocPoint {
  /** Share of label 0 with a score at or above the threshold. */
  readonly falsePositiveRate: number;
  /** Share of label 1 with a score at or above the threshold. */
  readonly truePositiveRate: number;
  /** The score at this point; Infinity at (0, 0). */
  readonly threshold: number;
}

/** One bin of a reliability curve. */
export interface ReliabilityBin {
  /** Mean predicted probability. */
  readonly predicted: number;
  /** Observed share of label 1. */
  readonly observed: number;
  /** Number of texts (their total weight). */
  readonly count: number;
}

/**
 * Scores with binary labels, sorted once. A bootstrap calls its figures a thousand times with other
 * weights, and each call is one pass over the sorted rows.
 *
 * @example One sort, any number of weightings
 * ```ts
 * import { assert } from "@std/assert";
 * import { Ranked } from "./ranked.ts";
 * const ranked = new Ranked([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0]);
 * assert(ranked.rocAuc() === 0.75);
 * assert(ranked.rocAuc([1, 0, 1, 1]) === 1);
 * ```
 */
export class Ranked {
  /** Rows in the order of rising scores. */
  readonly #order: Int32Array;
  readonly #scores: Float64Array;
  readonly #labels: Uint8Array;
  /** Where each run of equal scores ends (exclusive), in sorted order. */
  readonly #ends: Int32Array;

  /**
   * Sorts.
   *
   * @param scores One score per row
   * @param labels 1 or 0 per row
   * @throws FairlError `metrics.nan` when a score is not a number, which has no rank
   */
  constructor(scores: ArrayLike<number>, labels: ArrayLike<number>) {
    const rows = scores.length;
    this.#order = Int32Array.from({ length: rows }, (_, row) => row);
    this.#order.sort((a, b) => scores[a]! - scores[b]! || a - b);
    this.#scores = Float64Array.from(this.#order, (row) => scores[row]!);
    this.#labels = Uint8Array.from(this.#order, (row) => labels[row] === 1 ? 1 : 0);
    if (this.#scores.some(Number.isNaN)) {
      throw new FairlError("metrics.nan", "A score is not a number: the reward has diverged");
    }
    const ends: number[] = [];
    for (let i = 1; i <= rows; i++) {
      if (i === rows || this.#scores[i] !== this.#scores[i - 1]) ends.push(i);
    }
    this.#ends = Int32Array.from(ends);
  }

  /**
   * Area under the ROC curve: the chance that a random row of label 1 scores above one of label 0;
   * ties count half.
   *
   * @param weights How often each row counts (in the rows' own order); once where left out
   * @returns a number in [0, 1]; NaN where one label is missing
   */
  rocAuc(weights?: ArrayLike<number>): number {
    let below = 0;
    let positives = 0;
    let wins = 0;
    let at = 0;
    for (const end of this.#ends) {
      let tiedPositive = 0;
      let tiedNegative = 0;
      for (; at < end; at++) {
        const weight = weights ? weights[this.#order[at]!]! : 1;
        if (this.#labels[at]) tiedPositive += weight;
        else tiedNegative += weight;
      }
      wins += tiedPositive * (below + tiedNegative / 2);
      positives += tiedPositive;
      below += tiedNegative;
    }
    return wins / (positives * below);
  }

  /**
   * Average precision: the precision at each threshold, weighted by the recall gained there. No
   * interpolation; rows of equal score enter together.
   *
   * @param weights How often each row counts (in the rows' own order); once where left out
   * @returns a number in [0, 1]; NaN where label 1 is missing
   */
  averagePrecision(weights?: ArrayLike<number>): number {
    let truePositives = 0;
    let called = 0;
    let sum = 0;
    for (let tie = this.#ends.length - 1; tie >= 0; tie--) {
      let tiedPositive = 0;
      for (let at = this.#ends[tie - 1] ?? 0; at < this.#ends[tie]!; at++) {
        const weight = weights ? weights[this.#order[at]!]! : 1;
        if (this.#labels[at]) tiedPositive += weight;
        called += weight;
      }
      truePositives += tiedPositive;
      if (tiedPositive > 0) sum += tiedPositive * truePositives / called;
    }
    return sum / truePositives;
  }

  /**
   * The ROC curve from (0, 0) to (1, 1), one point per distinct score. Points inside a straight
   * stretch are left out: they draw nothing.
   */
  rocCurve(): RocPoint[] {
    const positives = this.#labels.reduce((sum, label) => sum + label, 0);
    const negatives = this.#labels.length - positives;
    const points: [negative: number, positive: number, threshold: number][] = [[0, 0, Infinity]];
    for (let tie = this.#ends.length - 1; tie >= 0; tie--) {
      let [negative, positive] = points.at(-1)!;
      const start = this.#ends[tie - 1] ?? 0;
      for (let at = start; at < this.#ends[tie]!; at++) {
        if (this.#labels[at]) positive++;
        else negative++;
      }
      if (points.length > 1) {
        const [n0, p0] = points.at(-2)!;
        const [n1, p1] = points.at(-1)!;
        if ((n1 - n0) * (positive - p1) === (negative - n1) * (p1 - p0)) points.pop();
      }
      points.push([negative, positive, this.#scores[start]!]);
    }
    return points.map(([negative, positive, threshold]) => ({
      falsePositiveRate: negative / negatives,
      truePositiveRate: positive / positives,
      threshold,
    }));
  }

  /**
   * Observed against predicted probability in bins of equal weight. Equal scores share a bin, so
   * there may be fewer bins than asked for.
   *
   * @param bins Number of quantile bins
   * @param weights How often each row counts (in the rows' own order); once where left out
   */
  reliability(bins: number, weights?: ArrayLike<number>): ReliabilityBin[] {
    let total = 0;
    for (let row = 0; row < this.#order.length; row++) total += weights ? weights[row]! : 1;
    const count = new Float64Array(bins);
    const predicted = new Float64Array(bins);
    const observed = new Float64Array(bins);
    let below = 0;
    let at = 0;
    for (const end of this.#ends) {
      let weight = 0;
      let positive = 0;
      const score = this.#scores[at]!;
      for (; at < end; at++) {
        const one = weights ? weights[this.#order[at]!]! : 1;
        weight += one;
        if (this.#labels[at]) positive += one;
      }
      if (weight === 0) continue;
      const bin = Math.floor(bins * (below + weight / 2) / total);
      count[bin]! += weight;
      predicted[bin]! += weight * score;
      observed[bin]! += positive;
      below += weight;
    }
    const filled: ReliabilityBin[] = [];
    for (let bin = 0; bin < bins; bin++) {
      const weight = count[bin]!;
      if (weight === 0) continue;
      filled.push({
        predicted: predicted[bin]! / weight,
        observed: observed[bin]! / weight,
        count: weight,
      });
    }
    return filled;
  }

  /**
   * Expected calibration error over bins of equal weight: the mean distance between observed and
   * predicted probability.
   *
   * @param bins Number of quantile bins
   * @param weights How often each row counts (in the rows' own order); once where left out
   * @returns a number in [0, 1]; NaN where there is no row
   */
  ece(bins = 15, weights?: ArrayLike<number>): number {
    let total = 0;
    let error = 0;
    for (const { predicted, observed, count } of this.reliability(bins, weights)) {
      error += count * Math.abs(predicted - observed);
      total += count;
    }
    return error / total;
  }
}

/**
 * Area under the ROC curve; ties count half. For many weightings of the same rows use {@link Ranked}.
 *
 * @param scores One score per row
 * @param labels 1 or 0 per row
 * @returns a number in [0, 1]; NaN where one label is missing
 * @throws FairlError `metrics.nan` when a score is not a number
 *
 * @example Three of four couples are in order
 * ```ts
 * import { assert } from "@std/assert";
 * import { rocAuc } from "./ranked.ts";
 * assert(rocAuc([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0]) === 0.75);
 * ```
 */
export function rocAuc(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  return new Ranked(scores, labels).rocAuc();
}

/**
 * Average precision of label 1. For many weightings of the same rows use {@link Ranked}.
 *
 * @param scores One score per row
 * @param labels 1 or 0 per row
 * @returns a number in [0, 1]; NaN where label 1 is missing
 * @throws FairlError `metrics.nan` when a score is not a number
 *
 * @example Precision 1 at the first hit, 2/3 at the second
 * ```ts
 * import { assert } from "@std/assert";
 * import { averagePrecision } from "./ranked.ts";
 * assert(averagePrecision([0.9, 0.4, 0.6, 0.1], [1, 1, 0, 0]) === (1 + 2 / 3) / 2);
 * ```
 */
export function averagePrecision(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  return new Ranked(scores, labels).averagePrecision();
}

/**
 * The ROC curve from (0, 0) to (1, 1), without the points that lie on a straight stretch.
 *
 * @param scores One score per row
 * @param labels 1 or 0 per row
 * @throws FairlError `metrics.nan` when a score is not a number
 *
 * @example A perfect ranking goes straight up, then straight right
 * ```ts
 * import { assert } from "@std/assert";
 * import { rocCurve } from "./ranked.ts";
 * const corners = rocCurve([4, 3, 2, 1], [1, 1, 0, 0]);
 * assert(corners.map((point) => point.truePositiveRate).join() === "0,1,1");
 * ```
 */
export function rocCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): RocPoint[] {
  return new Ranked(scores, labels).rocCurve();
}
