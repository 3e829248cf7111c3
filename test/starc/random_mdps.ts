/**
 * Random MDPs and rewards, and how well each distance follows regret on them.
 * `deno run -A test/starc/random_mdps.ts` prints the table of docs/starc.md.
 */
import { Random } from "../../src/base/mod.ts";
import { spearman } from "../../src/metrics/mod.ts";
import { type Mdp, mdp, mdpDard, mdpEpic, mdpStarc, regret } from "../../src/starc/mod.ts";

/** Every state can be reached: each (state, action) has a few likely next states and a floor for all. */
export function randomMdp(
  random: Random,
  size: { states: number; actions: number; discount: number },
): Mdp {
  const { states, actions } = size;
  const transition = new Float64Array(states * actions * states);
  for (let at = 0; at < transition.length; at += states) {
    let total = 0;
    for (let next = 0; next < states; next++) {
      const likely = random.uniform() < 3 / states ? 1 : 0.01;
      total += transition[at + next] = likely * random.uniform();
    }
    for (let next = 0; next < states; next++) transition[at + next]! /= total;
  }
  return mdp({ ...size, transition });
}

/** [S, A, S] Independent normal rewards. */
export function randomReward({ transition }: Mdp, random: Random): Float64Array {
  return Float64Array.from(transition, () => random.normal());
}

/** [S, A] A random distribution over actions in each state. */
export function randomPolicy({ states, actions }: Mdp, random: Random): Float64Array {
  const policy = Float64Array.from({ length: states * actions }, () => random.uniform() ** 3);
  for (let at = 0; at < policy.length; at += actions) {
    const row = policy.subarray(at, at + actions);
    const total = row.reduce((sum, value) => sum + value, 0);
    row.forEach((value, action) => row[action] = value / total);
  }
  return policy;
}

/** The reward plus discount P(s') - P(s), P a random potential. */
export function shaped(
  { states, actions, discount }: Mdp,
  reward: Float64Array,
  random: Random,
): Float64Array {
  const potential = random.normals(states, 3);
  return reward.map((value, i) =>
    value + discount * potential[i % states]! - potential[Math.floor(i / states / actions)]!
  );
}

/** The reward plus noise over next states that has no mean under the transition. */
export function redistributed(
  { states, transition }: Mdp,
  reward: Float64Array,
  random: Random,
  size = 2,
): Float64Array {
  const result = reward.slice();
  for (let at = 0; at < reward.length; at += states) {
    const noise = random.normals(states, size);
    const chance = transition.subarray(at, at + states);
    const mean = noise.reduce((sum, value, next) => sum + value * chance[next]!, 0);
    for (let next = 0; next < states; next++) result[at + next]! += noise[next]! - mean;
  }
  return result;
}

/** Spearman correlation of each distance with regret, over random pairs of rewards. */
export function correlations(
  options: {
    worlds: number;
    perWorld: number;
    states: number;
    actions: number;
    discount: number;
    seed: number;
  },
): { val: number; minimal: number; epic: number; dard: number } {
  const random = new Random(options.seed, "correlations");
  const regrets: number[] = [];
  const distances = { val: [], minimal: [], epic: [], dard: [] } as Record<string, number[]>;
  for (let i = 0; i < options.worlds; i++) {
    const world = randomMdp(random, options);
    for (let j = 0; j < options.perWorld; j++) {
      const a = randomReward(world, random);
      const other = randomReward(world, random);
      // From the reward itself to its opposite, through one that is unrelated; dressed up by a
      // random amount of what no policy can feel.
      const angle = Math.PI * random.uniform();
      const mixed = a.map((value, at) => Math.cos(angle) * value + Math.sin(angle) * other[at]!);
      const b = redistributed(world, shaped(world, mixed, random), random, 3 * random.uniform());
      regrets.push((regret(world, a, b) + regret(world, b, a)) / 2);
      distances.val!.push(mdpStarc(world, a, b));
      distances.minimal!.push(mdpStarc(world, a, b, { canonicalisation: "minimal" }));
      distances.epic!.push(mdpEpic(world, a, b));
      distances.dard!.push(mdpDard(world, a, b));
    }
  }
  const follow = (name: string) => spearman(distances[name]!, regrets);
  return {
    val: follow("val"),
    minimal: follow("minimal"),
    epic: follow("epic"),
    dard: follow("dard"),
  };
}

if (import.meta.main) {
  for (const [states, discount] of [[8, 0.5], [8, 0.95], [32, 0.5], [32, 0.95]] as const) {
    const found = correlations({ worlds: 60, perWorld: 12, states, actions: 4, discount, seed: 1 });
    const cells = Object.entries(found).map(([name, value]) => `${name} ${value.toFixed(3)}`);
    // deno-lint-ignore no-console
    console.log(`states ${states} discount ${discount}: ${cells.join("  ")}`);
  }
}
