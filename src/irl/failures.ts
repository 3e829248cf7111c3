/** Failure sets: which pairs the current reward gets wrong or nearly ties, and which come first. */

/** In which order failures enter the correction's training. */
export const CURRICULA = ["all", "violations-first", "ties-first"] as const;
/** One of {@linkcode CURRICULA}. */
export type Curriculum = typeof CURRICULA[number];

/** The pairs that a round of correction treats as failures. */
export interface FailureSet {
  /** 1 for a pair that is treated as a failure in this round. */
  readonly member: Uint8Array;
  /** Pairs whose gap is negative. */
  readonly violations: number;
  /** Pairs whose gap is at least 0 and below tau. */
  readonly nearTies: number;
  /** Members of this round: all failures, or those that the curriculum lets in so far. */
  readonly selected: number;
}

/**
 * Decides what a round of correction trains on.
 *
 * Exchangeable: the control swaps this part alone, and whatever else might be worth correcting
 * (disagreement with the implicit reward, uncertainty) takes its place here.
 *
 * @param gaps Gap of each training pair, in deviations of the base path's gaps
 * @param round From 1
 * @param rounds How many there are
 */
export type FailureSelector = (
  gaps: Float32Array,
  round: number,
  rounds: number,
) => FailureSet;

/**
 * The failures of FA-IRL: pairs that the current reward misclassifies or nearly ties, gap < tau (K).
 *
 * The curriculum lets in the first `round / rounds` of them by its order: `violations-first` is the
 * paper's "easier errors first, subtler ones later" (K), `ties-first` the reverse, `all` none (C).
 *
 * @param tau Gaps below it are failures; in deviations of the base path's gaps
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { failuresBelow } from "./failures.ts";
 * const set = failuresBelow(0.5, "all")(Float32Array.of(-1, 0.2, 2), 1, 4);
 * assert(set.violations === 1 && set.nearTies === 1 && set.selected === 2);
 * ```
 */
export function failuresBelow(tau: number, curriculum: Curriculum): FailureSelector {
  return (gaps, round, rounds): FailureSet => {
    const failures: number[] = [];
    let violations = 0;
    gaps.forEach((gap, pair) => {
      if (gap < tau) failures.push(pair);
      if (gap < 0) violations++;
    });
    const nearTies = failures.length - violations;
    if (curriculum !== "all") {
      const sign = curriculum === "violations-first" ? 1 : -1;
      failures.sort((a, b) => sign * (gaps[a]! - gaps[b]!) || a - b);
      failures.length = Math.ceil(failures.length * round / rounds);
    }
    const member = new Uint8Array(gaps.length);
    for (const pair of failures) member[pair] = 1;
    return { member, violations, nearTies, selected: failures.length };
  };
}

/**
 * No pair is treated apart: the capacity-matched control, which trains the same correction on all
 * pairs alike (C: METHOD.md).
 */
export const noSelection: FailureSelector = (gaps): FailureSet => {
  let violations = 0;
  for (const gap of gaps) if (gap < 0) violations++;
  return { member: new Uint8Array(gaps.length), violations, nearTies: 0, selected: 0 };
};
