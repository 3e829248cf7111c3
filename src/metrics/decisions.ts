/** Figures of decisions: which of a pair is better, and which side of a threshold a text is on. */

/**
 * The share of pairs that a reward orders as the data do; a tie counts half.
 *
 * @param gaps R(chosen) - R(rejected) of each pair
 * @param weights How often each pair counts; once where left out
 * @returns a number in [0, 1]; NaN where there is no pair or a gap is NaN
 *
 * @example A tie is worth half a pair
 * ```ts
 * import { assert } from "@std/assert";
 * import { pairAccuracy } from "./decisions.ts";
 * assert(pairAccuracy([2, 0.5, 0, -1]) === 0.625);
 * ```
 */
export function pairAccuracy(gaps: ArrayLike<number>, weights?: ArrayLike<number>): number {
  let right = 0;
  let total = 0;
  for (let i = 0; i < gaps.length; i++) {
    const weight = weights?.[i] ?? 1;
    right += weight * (Math.sign(gaps[i]!) + 1) / 2;
    total += weight;
  }
  return right / total;
}

/**
 * The share of texts on the right side of a threshold. A score above it is called 1, else 0.
 *
 * @param scores One reward per text
 * @param labels 1 for texts that deserve the higher reward, 0 for the others
 * @param threshold Fixed on training data, see {@link midpointThreshold}
 * @param weights How often each text counts; once where left out
 * @returns a number in [0, 1]; NaN where there is no text
 *
 * @example Three of four texts on the right side
 * ```ts
 * import { assert } from "@std/assert";
 * import { accuracy } from "./decisions.ts";
 * assert(accuracy([0.1, 0.9, 0.4, 0.8], [0, 1, 1, 1], 0.5) === 0.75);
 * ```
 */
export function accuracy(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  threshold: number,
  weights?: ArrayLike<number>,
): number {
  let right = 0;
  let total = 0;
  for (let i = 0; i < scores.length; i++) {
    const weight = weights?.[i] ?? 1;
    if ((scores[i]! > threshold) === (labels[i] === 1)) right += weight;
    total += weight;
  }
  return right / total;
}

/**
 * F1 of label 1 at a threshold: the harmonic mean of precision and recall.
 *
 * @param scores One reward per text
 * @param labels 1 for texts that deserve the higher reward, 0 for the others
 * @param threshold Fixed on training data, see {@link midpointThreshold}
 * @param weights How often each text counts; once where left out
 * @returns a number in [0, 1]; NaN where nothing is labelled or called 1
 *
 * @example Precision 1 and recall 2/3 give 0.8
 * ```ts
 * import { assert } from "@std/assert";
 * import { f1 } from "./decisions.ts";
 * assert(f1([0.1, 0.9, 0.4, 0.8], [0, 1, 1, 1], 0.5) === 0.8);
 * ```
 */
export function f1(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  threshold: number,
  weights?: ArrayLike<number>,
): number {
  let both = 0;
  let either = 0;
  for (let i = 0; i < scores.length; i++) {
    const weight = weights?.[i] ?? 1;
    const called = scores[i]! > threshold;
    const labelled = labels[i] === 1;
    if (called && labelled) both += weight;
    either += weight * (Number(called) + Number(labelled));
  }
  return 2 * both / either;
}

/**
 * The threshold between good and bad texts that needs no text labels: the middle of the mean chosen
 * and the mean rejected reward of the training pairs (C: METHOD.md, "A formulation that was measured").
 *
 * @param chosen Rewards of the chosen side
 * @param rejected Rewards of the rejected side
 *
 * @example The middle of two means
 * ```ts
 * import { assert } from "@std/assert";
 * import { midpointThreshold } from "./decisions.ts";
 * assert(midpointThreshold([1, 3], [-2, 0]) === 0.5);
 * ```
 */
export function midpointThreshold(chosen: ArrayLike<number>, rejected: ArrayLike<number>): number {
  return (mean(chosen) + mean(rejected)) / 2;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
