/** Distances of rewards in a finite MDP: STARC's canonical forms, and EPIC and DARD beside them. */
import { expectedReward, type Mdp, policyValues, uniformPolicy } from "./mdp.ts";
import { halfDistance, type Norm, standardise } from "./norm.ts";
import { solve } from "./solve.ts";

/** How {@link mdpStarc} removes what no policy can feel. */
export type Canonicalisation = "val" | "minimal";

/** Options of {@link mdpStarc}. */
export interface MdpStarcOptions {
  /** Which canonical form. */
  readonly canonicalisation?: Canonicalisation;
  /** What to normalise by and measure with. */
  readonly norm?: Norm;
  /** [S, A] The policy whose values `val` uses; uniform where left out. */
  readonly policy?: ArrayLike<number>;
}

/**
 * Value-Adjusted Levelling: c(R)(s, a) = E R(s, a, S') + discount V(S') - V(s), with V the values of
 * a fixed policy (K: Skalse et al., arXiv 2309.15257, definition 4). It is the policy's advantage.
 *
 * The form does not depend on the next state, so it is given as [S, A].
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @param policy [S, A]; uniform where left out
 * @returns [S, A]
 *
 * @example Potential shaping leaves nothing
 * ```ts
 * import { assert } from "@std/assert";
 * import { mdp } from "./mdp.ts";
 * import { valCanonical } from "./mdp_distance.ts";
 * const transition = Float64Array.of(1, 0, 0, 1, 0, 1, 1, 0);
 * const world = mdp({ states: 2, actions: 2, transition, discount: 0.5 });
 * // R(s, a, s') = 0.5 P(s') - P(s) with P = (0, 2).
 * const shaping = [0, 1, 0, 1, -2, -1, -2, -1];
 * assert(valCanonical(world, shaping).every((value) => Math.abs(value) < 1e-12));
 * ```
 */
export function valCanonical(
  world: Mdp,
  reward: ArrayLike<number>,
  policy: ArrayLike<number> = uniformPolicy(world),
): Float64Array<ArrayBuffer> {
  const values = policyValues(world, reward, policy);
  return shaped(world, expectedReward(world, reward), values);
}

/**
 * The smallest of all rewards that potential shaping and redistribution over next states can make of
 * R, in the l2 norm over (s, a) (K: Skalse et al., arXiv 2309.15257, the minimal canonicalisation;
 * C: next states weighted by the transition, so that the form is [S, A]).
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @returns [S, A]
 */
export function minimalCanonical(world: Mdp, reward: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { states, actions, transition, discount } = world;
  const expected = expectedReward(world, reward);
  // Normal equations of min over P of the sum of (expected + discount E P(S') - P(s))^2.
  const matrix = new Float64Array(states * states);
  const right = new Float64Array(states);
  const row = new Float64Array(states);
  for (let sa = 0; sa < expected.length; sa++) {
    for (let s = 0; s < states; s++) row[s] = discount * transition[sa * states + s]!;
    row[Math.floor(sa / actions)]! -= 1;
    for (let s = 0; s < states; s++) {
      if (row[s] === 0) continue;
      right[s]! -= row[s]! * expected[sa]!;
      for (let t = 0; t < states; t++) matrix[s * states + t]! += row[s]! * row[t]!;
    }
  }
  return shaped(world, expected, solve(matrix, right));
}

/**
 * EPIC's canonically shaped reward with uniform, independent S, A and S':
 * R(s, a, s') + E[discount R(s', A, S') - R(s, A, S') - discount R(S, A, S')]
 * (K: Gleave et al., arXiv 2006.13900, definition 4.1).
 *
 * @param world The MDP, of which only sizes and discount are used
 * @param reward [S, A, S]
 * @returns [S, A, S]
 */
export function epicCanonical(world: Mdp, reward: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { states, actions, discount } = world;
  const mean = new Float64Array(states);
  const perState = actions * states;
  for (let i = 0; i < reward.length; i++) mean[Math.floor(i / perState)]! += reward[i]! / perState;
  const overall = mean.reduce((sum, value) => sum + value, 0) / states;
  return Float64Array.from(reward, (value, i) => {
    const [state, next] = [Math.floor(i / perState), i % states];
    return value + discount * mean[next]! - mean[state]! - discount * overall;
  });
}

/**
 * DARD's transformed reward, with A uniform, S' ~ T(s, A) and S'' ~ T(s', A):
 * R(s, a, s') + E[discount R(s', A, S'') - R(s, A, S') - discount R(S', A, S'')]
 * (K: Wulfe et al., arXiv 2201.10081, definition 4).
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @returns [S, A, S]
 */
export function dardCanonical(world: Mdp, reward: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { states, actions, transition, discount } = world;
  const expected = expectedReward(world, reward);
  const mean = new Float64Array(states);
  expected.forEach((value, sa) => mean[Math.floor(sa / actions)]! += value / actions);
  // between[s, s'] = E R(S', A, S''): first over S' for each action and end S'', then over S''.
  const between = new Float64Array(states * states);
  const viaFirst = new Float64Array(states);
  for (let s = 0; s < states; s++) {
    for (let action = 0; action < actions; action++) {
      const from = (s * actions + action) * states;
      viaFirst.fill(0);
      for (let first = 0; first < states; first++) {
        const chance = transition[from + first]!;
        if (chance === 0) continue;
        const at = (first * actions + action) * states;
        for (let second = 0; second < states; second++) {
          viaFirst[second]! += chance * reward[at + second]!;
        }
      }
      for (let next = 0; next < states; next++) {
        const at = (next * actions + action) * states;
        let sum = 0;
        for (let second = 0; second < states; second++) {
          sum += transition[at + second]! * viaFirst[second]!;
        }
        between[s * states + next]! += sum / actions;
      }
    }
  }
  return Float64Array.from(reward, (value, i) => {
    const [state, next] = [Math.floor(i / (actions * states)), i % states];
    return value + discount * mean[next]! - mean[state]! -
      discount * between[state * states + next]!;
  });
}

/**
 * The STARC distance of two rewards in a finite MDP (K: Skalse et al., arXiv 2309.15257, definition
 * 3; C: half the norm of the difference, so that it lies in [0, 1]).
 *
 * 0 exactly where both order all policies alike, which is where they differ by potential shaping,
 * redistribution over next states and a positive scale (every state being reachable); 1 for
 * opposites. At a discount of 0 it is the bandit's `starc` with states as prompts.
 *
 * @param world The MDP
 * @param a [S, A, S]
 * @param b [S, A, S]
 * @returns a number in [0, 1]
 *
 * @example Opposite rewards
 * ```ts
 * import { assertAlmostEquals } from "@std/assert";
 * import { mdp } from "./mdp.ts";
 * import { mdpStarc } from "./mdp_distance.ts";
 * const transition = Float64Array.of(1, 0, 0, 1, 0, 1, 1, 0);
 * const world = mdp({ states: 2, actions: 2, transition, discount: 0.9 });
 * const pays = [0, 1, 0, 1, 0, 1, 0, 1];
 * assertAlmostEquals(mdpStarc(world, pays, pays.map((value) => -value)), 1);
 * ```
 */
export function mdpStarc(
  world: Mdp,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: MdpStarcOptions = {},
): number {
  const { canonicalisation = "val", norm = "l2", policy } = options;
  const [x, y] = [a, b].map((reward) => {
    const canonical = canonicalisation === "val"
      ? valCanonical(world, reward, policy)
      : minimalCanonical(world, reward);
    return standardise(canonical, reward, norm);
  }) as [Float64Array, Float64Array];
  return halfDistance(x, y, norm);
}

/**
 * The EPIC distance with uniform coverage of (s, a, s'): sqrt((1 - Pearson) / 2) of the canonically
 * shaped rewards (K: Gleave et al., arXiv 2006.13900, definition 4.7; C: no opinion as in STARC).
 *
 * @param world The MDP
 * @param a [S, A, S]
 * @param b [S, A, S]
 * @returns a number in [0, 1]
 */
export function mdpEpic(world: Mdp, a: ArrayLike<number>, b: ArrayLike<number>): number {
  return pearsonDistance(a, b, (reward) => epicCanonical(world, reward));
}

/**
 * The DARD distance: as EPIC, but over the transitions that can happen, (s, a) uniform and s' drawn
 * from the MDP (K: Wulfe et al., arXiv 2201.10081, definition 5; C: no opinion as in STARC).
 *
 * @param world The MDP
 * @param a [S, A, S]
 * @param b [S, A, S]
 * @returns a number in [0, 1]
 */
export function mdpDard(world: Mdp, a: ArrayLike<number>, b: ArrayLike<number>): number {
  return pearsonDistance(a, b, (reward) => dardCanonical(world, reward), world.transition);
}

/** sqrt((1 - Pearson) / 2), as half the l2 distance of standard scores: exact near 0 too. */
function pearsonDistance(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  canonicalise: (reward: ArrayLike<number>) => Float64Array<ArrayBuffer>,
  weights?: ArrayLike<number>,
): number {
  const [x, y] = [a, b].map((reward) => {
    const canonical = canonicalise(reward);
    let [sum, total] = [0, 0];
    for (let i = 0; i < canonical.length; i++) {
      const weight = weights ? weights[i]! : 1;
      sum += weight * canonical[i]!;
      total += weight;
    }
    const centred = canonical.map((value) => value - sum / total);
    return standardise(centred, reward, "l2", weights);
  }) as [Float64Array, Float64Array];
  return halfDistance(x, y, "l2", weights);
}

/** values(s, a) + discount E potential(S') - potential(s). */
function shaped(
  { states, actions, transition, discount }: Mdp,
  values: Float64Array<ArrayBuffer>,
  potential: Float64Array,
): Float64Array<ArrayBuffer> {
  for (let sa = 0; sa < values.length; sa++) {
    let next = 0;
    for (let s = 0; s < states; s++) next += transition[sa * states + s]! * potential[s]!;
    values[sa]! += discount * next - potential[Math.floor(sa / actions)]!;
  }
  return values;
}
