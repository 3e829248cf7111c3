/** Finite Markov decision processes: values, best policies and regret, by exact linear algebra. */
import { FairlError } from "../base/mod.ts";
import { solve } from "./solve.ts";

/**
 * A finite MDP without its reward. Rewards and transitions are [S, A, S] row-major over (state,
 * action, next state); policies are [S, A], each row a distribution.
 */
export interface Mdp {
  /** Number of states, S. */
  readonly states: number;
  /** Number of actions, A. */
  readonly actions: number;
  /** [S, A, S] Probability of each next state. */
  readonly transition: Float64Array;
  /** In [0, 1). */
  readonly discount: number;
  /** [S] Where an episode starts. */
  readonly initial: Float64Array;
}

/**
 * Checks shapes and probabilities and makes an MDP.
 *
 * @param parts As {@link Mdp}; `initial` is uniform where left out
 * @throws FairlError `starc.mdp` when a shape, a probability or the discount is wrong
 *
 * @example Two states; action 0 stays, action 1 moves
 * ```ts
 * import { assert } from "@std/assert";
 * import { mdp } from "./mdp.ts";
 * const world = mdp({
 *   states: 2,
 *   actions: 2,
 *   transition: Float64Array.of(1, 0, 0, 1, 0, 1, 1, 0),
 *   discount: 0.9,
 * });
 * assert(world.initial[0] === 0.5);
 * ```
 */
export function mdp(
  parts: Omit<Mdp, "initial"> & { readonly initial?: Float64Array },
): Mdp {
  const { states, actions, transition, discount } = parts;
  const initial = parts.initial ?? new Float64Array(states).fill(1 / states);
  if (!(discount >= 0 && discount < 1)) {
    throw new FairlError("starc.mdp", `The discount must lie in [0, 1), not ${discount}`);
  }
  if (transition.length !== states * actions * states || initial.length !== states) {
    throw new FairlError("starc.mdp", "The transition must be [S, A, S] and the start [S]");
  }
  for (let at = 0; at < transition.length; at += states) {
    if (!isDistribution(transition.subarray(at, at + states))) {
      throw new FairlError(
        "starc.mdp",
        `The next states of state ${Math.floor(at / states / actions)} under action ${
          at / states % actions
        } are no probabilities that add up to 1`,
      );
    }
  }
  if (!isDistribution(initial)) {
    throw new FairlError("starc.mdp", "The start states are no probabilities that add up to 1");
  }
  return { states, actions, transition, discount, initial };
}

/** [S, A] The policy that takes every action equally often. */
export function uniformPolicy({ states, actions }: Mdp): Float64Array<ArrayBuffer> {
  return new Float64Array(states * actions).fill(1 / actions);
}

/**
 * The reward of an action before its outcome is known: E R(s, a, S').
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @returns [S, A]
 */
export function expectedReward(world: Mdp, reward: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { states, actions, transition } = world;
  const expected = new Float64Array(states * actions);
  for (let sa = 0; sa < expected.length; sa++) {
    for (let next = 0; next < states; next++) {
      expected[sa]! += transition[sa * states + next]! * reward[sa * states + next]!;
    }
  }
  return expected;
}

/**
 * The discounted value of each state under a policy, solved exactly.
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @param policy [S, A]
 * @returns [S]
 */
export function policyValues(
  world: Mdp,
  reward: ArrayLike<number>,
  policy: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const { states, actions, transition, discount } = world;
  const expected = expectedReward(world, reward);
  const matrix = new Float64Array(states * states);
  const right = new Float64Array(states);
  for (let state = 0; state < states; state++) {
    matrix[state * states + state] = 1;
    for (let action = 0; action < actions; action++) {
      const sa = state * actions + action;
      const chance = policy[sa]!;
      right[state]! += chance * expected[sa]!;
      for (let next = 0; next < states; next++) {
        matrix[state * states + next]! -= discount * chance * transition[sa * states + next]!;
      }
    }
  }
  return solve(matrix, right);
}

/**
 * The value of each action when a policy's state values follow: E R(s, a, S') + discount V(S').
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @param values [S]
 * @returns [S, A]
 */
export function actionValues(
  world: Mdp,
  reward: ArrayLike<number>,
  values: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const { states, transition, discount } = world;
  const result = expectedReward(world, reward);
  for (let sa = 0; sa < result.length; sa++) {
    for (let next = 0; next < states; next++) {
      result[sa]! += discount * transition[sa * states + next]! * values[next]!;
    }
  }
  return result;
}

/**
 * A policy's expected discounted return from the start distribution.
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @param policy [S, A]
 */
export function policyReturn(
  world: Mdp,
  reward: ArrayLike<number>,
  policy: ArrayLike<number>,
): number {
  const values = policyValues(world, reward, policy);
  return values.reduce((sum, value, state) => sum + value * world.initial[state]!, 0);
}

/**
 * A best deterministic policy, by policy iteration (Howard 1960). Among equals the action that comes
 * first stays.
 *
 * @param world The MDP
 * @param reward [S, A, S]
 * @returns [S, A]
 *
 * @example Moves to the state that pays, then stays
 * ```ts
 * import { assert } from "@std/assert";
 * import { mdp, optimalPolicy } from "./mdp.ts";
 * const transition = Float64Array.of(1, 0, 0, 1, 0, 1, 1, 0);
 * const world = mdp({ states: 2, actions: 2, transition, discount: 0.9 });
 * const paysInState1 = [0, 1, 0, 1, 0, 1, 0, 1];
 * assert(optimalPolicy(world, paysInState1).join() === "0,1,1,0");
 * ```
 */
export function optimalPolicy(world: Mdp, reward: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const { states, actions } = world;
  const choice = new Int32Array(states);
  const policy = new Float64Array(states * actions);
  for (let changed = true; changed;) {
    policy.fill(0);
    choice.forEach((action, state) => policy[state * actions + action] = 1);
    const q = actionValues(world, reward, policyValues(world, reward, policy));
    const size = q.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    changed = false;
    for (let state = 0; state < states; state++) {
      let best = choice[state]!;
      for (let action = 0; action < actions; action++) {
        // A gain within rounding would let two equal policies take turns for ever.
        const gain = q[state * actions + action]! - q[state * actions + best]!;
        if (gain > 1e-10 * size) best = action;
      }
      changed ||= best !== choice[state];
      choice[state] = best;
    }
  }
  return policy;
}

/**
 * The least and the most that any policy earns.
 *
 * @param world The MDP
 * @param reward [S, A, S]
 */
export function returnRange(
  world: Mdp,
  reward: ArrayLike<number>,
): { least: number; most: number } {
  const cost = Float64Array.from(reward, (value) => -value);
  return {
    least: policyReturn(world, reward, optimalPolicy(world, cost)),
    most: policyReturn(world, reward, optimalPolicy(world, reward)),
  };
}

/**
 * What it costs to optimise a proxy: (max J - J(best policy of the proxy)) / (max J - min J), with
 * returns J under the true reward (K: the regret of Skalse et al., arXiv 2309.15257, section 4).
 *
 * @param world The MDP
 * @param truth [S, A, S]
 * @param proxy [S, A, S]
 * @returns a number in [0, 1]; 0 where all policies earn the same
 */
export function regret(
  world: Mdp,
  truth: ArrayLike<number>,
  proxy: ArrayLike<number>,
): number {
  const { least, most } = returnRange(world, truth);
  const range = most - least;
  const size = Math.max(Math.abs(least), Math.abs(most));
  if (range <= 1e-10 * size) return 0;
  return (most - policyReturn(world, truth, optimalPolicy(world, proxy))) / range;
}

function isDistribution(chances: Float64Array): boolean {
  const sum = chances.reduce((total, chance) => total + chance, 0);
  return Math.abs(sum - 1) < 1e-9 && chances.every((chance) => chance >= 0);
}
