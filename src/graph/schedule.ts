/** Learning-rate schedules: the rate of each step, counted from 0. */

/** The learning rate of a step; steps count from 0. */
export type Schedule = (step: number) => number;

/** The same rate for ever. */
export function constantRate(rate: number): Schedule {
  return () => rate;
}

/** What the decaying schedules need to know. */
export interface DecayOptions {
  /** Steps in all; the rate stays at its end afterwards. */
  steps: number;
  /** Steps over which the rate rises from 0 first. None by default. */
  warmUp?: number;
  /** Fraction of the rate that is left at the end. 0 by default. */
  floor?: number;
}

/** Rises over the warm-up, then falls along a straight line. */
export function linearRate(rate: number, options: DecayOptions): Schedule {
  return decaying(rate, options, (part) => 1 - part);
}

/** Rises over the warm-up, then falls along half a cosine (Loshchilov and Hutter 2017). */
export function cosineRate(rate: number, options: DecayOptions): Schedule {
  return decaying(rate, options, (part) => (1 + Math.cos(Math.PI * part)) / 2);
}

function decaying(
  rate: number,
  { steps, warmUp = 0, floor = 0 }: DecayOptions,
  shape: (part: number) => number,
): Schedule {
  return (step) => {
    if (step < warmUp) return rate * (step + 1) / warmUp;
    const part = Math.min((step - warmUp) / Math.max(steps - warmUp, 1), 1);
    return rate * (floor + (1 - floor) * shape(part));
  };
}

/**
 * The rates of the next steps, as {@linkcode Trainer.run} takes them.
 *
 * @param from Number of the first of them
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { linearRate, ratesOf } from "./schedule.ts";
 * const rates = ratesOf(linearRate(1, { steps: 4 }), 0, 4);
 * assert(rates.join() === "1,0.75,0.5,0.25");
 * ```
 */
export function ratesOf(schedule: Schedule, from: number, steps: number): Float32Array {
  return Float32Array.from({ length: steps }, (_, at) => schedule(from + at));
}
