/** Scores as probabilities: Platt and temperature scaling, and how well probabilities hold. */
import { Ranked, type ReliabilityBin } from "./ranked.ts";

/** A map from scores to probabilities: 1 / (1 + exp(-(a score + b))). */
export interface Scaling {
  /** Slope, in nats per unit of score; a temperature is 1 / a. */
  readonly a: number;
  /** Offset, in nats. */
  readonly b: number;
}

/** Rows of numbers with a label of 1 or 0 each. */
export interface Binary {
  /** One number per row. */
  readonly scores: ArrayLike<number>;
  /** 1 or 0 per row. */
  readonly labels: ArrayLike<number>;
}

/**
 * The probabilities that a scaling gives to scores.
 *
 * @param scaling From {@link plattScaling} or {@link temperatureScaling}
 * @param scores One score per row
 *
 * @example A score of zero at no offset is even odds
 * ```ts
 * import { assert } from "@std/assert";
 * import { probabilities } from "./calibration.ts";
 * assert(probabilities({ a: 2, b: 0 }, [0])[0] === 0.5);
 * ```
 */
export function probabilities(
  { a, b }: Scaling,
  scores: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  return Float64Array.from(scores, (score) => sigmoid(a * score + b));
}

/**
 * Fits a slope and an offset by maximum likelihood with Platt's smoothed targets, so that separable
 * scores get a finite slope (Platt 1999; the stable Newton form of Lin, Lin and Weng 2007).
 *
 * @param scores One score per row, of held-out (validation) data
 * @param labels 1 or 0 per row
 *
 * @example Higher scores of label 1 give a rising map
 * ```ts
 * import { assert } from "@std/assert";
 * import { plattScaling } from "./calibration.ts";
 * const { a } = plattScaling([-2, -1, 1, 2], [0, 0, 1, 1]);
 * assert(a > 0);
 * ```
 */
export function plattScaling(scores: ArrayLike<number>, labels: ArrayLike<number>): Scaling {
  const { centre, spread } = moments(scores);
  // Standard scores make the ridge and the stopping rule mean the same for every reward.
  const x = Float64Array.from(scores, (score) => (score - centre) / spread);
  const target = smoothedTargets(labels);
  const [slope, offset] = maximiseLikelihood(x, target, true);
  return { a: slope / spread, b: offset - slope * centre / spread };
}

/**
 * Fits a slope alone (one over the temperature), with the same smoothed targets. For gaps of pairs,
 * where a gap of zero must stay even odds, give labels of 1 throughout.
 *
 * @param scores One score or gap per row, of held-out (validation) data
 * @param labels 1 or 0 per row
 * @returns `b` is 0; `a` is 0 (an infinite temperature) where the scores point the wrong way
 *
 * @example Doubling the gaps doubles the temperature
 * ```ts
 * import { assert } from "@std/assert";
 * import { temperatureScaling } from "./calibration.ts";
 * const one = temperatureScaling([3, 1, -1], [1, 1, 1]);
 * const two = temperatureScaling([6, 2, -2], [1, 1, 1]);
 * assert(Math.abs(one.a / two.a - 2) < 1e-6);
 * ```
 */
export function temperatureScaling(scores: ArrayLike<number>, labels: ArrayLike<number>): Scaling {
  let squares = 0;
  for (let i = 0; i < scores.length; i++) squares += scores[i]! ** 2;
  const spread = Math.sqrt(squares / scores.length) || 1;
  const x = Float64Array.from(scores, (score) => score / spread);
  const [slope] = maximiseLikelihood(x, smoothedTargets(labels), false);
  return { a: Math.max(0, slope) / spread, b: 0 };
}

/**
 * Brier score: the mean squared distance between probability and label.
 *
 * @param predicted Probabilities of label 1
 * @param labels 1 or 0 per row
 * @param weights How often each row counts; once where left out
 * @returns a number in [0, 1]; NaN where there is no row
 *
 * @example Even odds cost a quarter
 * ```ts
 * import { assert } from "@std/assert";
 * import { brier } from "./calibration.ts";
 * assert(brier([0.5, 0.5], [0, 1]) === 0.25);
 * ```
 */
export function brier(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  let sum = 0;
  let total = 0;
  for (let i = 0; i < predicted.length; i++) {
    const weight = weights?.[i] ?? 1;
    sum += weight * (predicted[i]! - labels[i]!) ** 2;
    total += weight;
  }
  return sum / total;
}

/**
 * Expected calibration error over quantile bins. For many weightings of the same rows use
 * {@link Ranked}.
 *
 * @param predicted Probabilities of label 1
 * @param labels 1 or 0 per row
 * @param bins Number of quantile bins
 * @returns a number in [0, 1]; NaN where there is no row
 *
 * @example Certain and always wrong
 * ```ts
 * import { assert } from "@std/assert";
 * import { ece } from "./calibration.ts";
 * assert(ece([0, 1], [1, 0], 2) === 1);
 * ```
 */
export function ece(predicted: ArrayLike<number>, labels: ArrayLike<number>, bins = 15): number {
  return new Ranked(predicted, labels).ece(bins);
}

/**
 * Observed against predicted probability, in quantile bins.
 *
 * @param predicted Probabilities of label 1
 * @param labels 1 or 0 per row
 * @param bins Number of quantile bins; equal probabilities share one, so fewer may come back
 *
 * @example Two bins of two rows
 * ```ts
 * import { assert } from "@std/assert";
 * import { reliabilityCurve } from "./calibration.ts";
 * const curve = reliabilityCurve([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 2);
 * assert(curve.map((bin) => bin.observed).join() === "0,1");
 * ```
 */
export function reliabilityCurve(
  predicted: ArrayLike<number>,
  labels: ArrayLike<number>,
  bins = 10,
): ReliabilityBin[] {
  return new Ranked(predicted, labels).reliability(bins);
}

/** Platt's targets: (n1 + 1) / (n1 + 2) for label 1 and 1 / (n0 + 2) for label 0. */
function smoothedTargets(labels: ArrayLike<number>): Float64Array {
  let positives = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i] === 1) positives++;
  const high = (positives + 1) / (positives + 2);
  const low = 1 / (labels.length - positives + 2);
  return Float64Array.from(labels, (label) => label === 1 ? high : low);
}

/** Newton with halved steps on the convex cross entropy; x is of unit size. */
function maximiseLikelihood(
  x: Float64Array,
  target: Float64Array,
  withOffset: boolean,
): [slope: number, offset: number] {
  const rows = x.length;
  const loss = (slope: number, offset: number) => {
    let sum = 0;
    for (let i = 0; i < rows; i++) {
      const z = slope * x[i]! + offset;
      sum += (z > 0 ? z : 0) + Math.log1p(Math.exp(-Math.abs(z))) - target[i]! * z;
    }
    return sum;
  };
  let slope = 0;
  let offset = 0;
  let best = loss(slope, offset);
  for (let step = 0; step < 100; step++) {
    let [gs, go, hss, hso, hoo] = [0, 0, RIDGE, 0, RIDGE];
    for (let i = 0; i < rows; i++) {
      const p = sigmoid(slope * x[i]! + offset);
      const error = p - target[i]!;
      const curvature = p * (1 - p);
      gs += error * x[i]!;
      go += error;
      hss += curvature * x[i]! * x[i]!;
      hso += curvature * x[i]!;
      hoo += curvature;
    }
    if (!withOffset) [go, hso] = [0, 0];
    if (Math.abs(gs) + Math.abs(go) < 1e-9 * rows) break;
    const determinant = hss * hoo - hso * hso;
    const ds = (hso * go - hoo * gs) / determinant;
    const shift = (hso * gs - hss * go) / determinant;
    let size = 1;
    let next = loss(slope + ds, offset + shift);
    while (next > best && size > 1e-10) {
      size /= 2;
      next = loss(slope + size * ds, offset + size * shift);
    }
    // Rounding hides any further progress.
    if (next >= best) break;
    slope += size * ds;
    offset += size * shift;
    best = next;
  }
  return [slope, offset];
}

/** Keeps the Hessian invertible where all scores are equal. */
const RIDGE = 1e-10;

function moments(values: ArrayLike<number>): { centre: number; spread: number } {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  const centre = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - centre) ** 2;
  return { centre, spread: Math.sqrt(squares / values.length) || 1 };
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
