/** From rewards to advantages: how much better a continuation is than its prompt's others. */

/**
 * RLOO (Ahmadian et al. 2024, equation 8): the reward less the mean of the prompt's other
 * continuations.
 *
 * @param rewards One for each continuation, those of a prompt side by side
 * @param group Continuations of a prompt, at least 2
 */
export function leaveOneOut(rewards: ArrayLike<number>, group: number): Float64Array {
  return byGroup(rewards, group, (own, mean) => (own - mean) * group / (group - 1));
}

/**
 * GRPO (Shao et al. 2024, section 4.1.2): the reward in deviations from its prompt's mean; zero where
 * all continuations of a prompt have the same.
 */
export function groupNormalised(rewards: ArrayLike<number>, group: number): Float64Array {
  return byGroup(
    rewards,
    group,
    (own, mean, deviation) => deviation > 0 ? (own - mean) / (deviation + 1e-4) : 0,
  );
}

/** Values less their mean, in deviations. */
export function whitened(values: readonly number[]): Float64Array {
  return byGroup(
    values,
    values.length,
    (own, mean, deviation) => deviation > 0 ? (own - mean) / deviation : 0,
  );
}

function byGroup(
  rewards: ArrayLike<number>,
  group: number,
  of: (own: number, mean: number, deviation: number) => number,
): Float64Array {
  const result = new Float64Array(rewards.length);
  for (let from = 0; from < rewards.length; from += group) {
    const own = Array.from({ length: group }, (_, at) => rewards[from + at]!);
    const mean = own.reduce((a, b) => a + b) / group;
    const deviation = Math.sqrt(own.reduce((sum, x) => sum + (x - mean) ** 2, 0) / group);
    own.forEach((reward, at) => result[from + at] = of(reward, mean, deviation));
  }
  return result;
}
