/** The published behaviour of STARC, EPIC and DARD on small random MDPs. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import { spearman } from "../../src/metrics/mod.ts";
import {
  actionValues,
  expectedReward,
  mdp,
  mdpDard,
  mdpEpic,
  mdpStarc,
  type MdpStarcOptions,
  minimalCanonical,
  optimalPolicy,
  policyReturn,
  policyValues,
  regret,
  returnRange,
  starc,
  uniformPolicy,
} from "../../src/starc/mod.ts";
import {
  correlations,
  randomMdp,
  randomPolicy,
  randomReward,
  redistributed,
  shaped,
} from "./random_mdps.ts";

const variants: MdpStarcOptions[] = (["val", "minimal"] as const).flatMap((canonicalisation) =>
  (["l1", "l2", "linf"] as const).map((norm) => ({ canonicalisation, norm }))
);

/** Runs a check on worlds of several sizes and discounts. */
function onWorlds(check: (world: ReturnType<typeof randomMdp>, random: Random) => void) {
  for (let seed = 0; seed < 12; seed++) {
    const random = new Random(seed, "worlds");
    const world = randomMdp(random, {
      states: 2 + random.integer(9),
      actions: 2 + random.integer(3),
      discount: [0, 0.5, 0.9, 0.99][seed % 4]!,
    });
    check(world, random);
  }
}

Deno.test("STARC is zero under potential shaping, redistribution over next states and scale", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const same = redistributed(
      world,
      shaped(world, reward.map((value) => 3 * value), random),
      random,
    );
    for (const options of variants) {
      assertAlmostEquals(mdpStarc(world, reward, same, options), 0, 1e-9, JSON.stringify(options));
    }
  });
});

Deno.test("EPIC and DARD are zero under potential shaping and scale, but not redistribution", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const same = shaped(world, reward.map((value) => 3 * value), random);
    assertAlmostEquals(mdpEpic(world, reward, same), 0, 1e-9);
    assertAlmostEquals(mdpDard(world, reward, same), 0, 1e-9);
    const moved = redistributed(world, same, random);
    assert(mdpEpic(world, reward, moved) > 0.05);
    assert(mdpDard(world, reward, moved) > 0.05);
  });
});

Deno.test("opposite rewards are one apart, in every distance", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const opposite = shaped(world, reward.map((value) => -2 * value), random);
    for (const options of variants) {
      assertAlmostEquals(mdpStarc(world, reward, opposite, options), 1, 1e-9);
    }
    assertAlmostEquals(mdpEpic(world, reward, opposite), 1, 1e-9);
    assertAlmostEquals(mdpDard(world, reward, opposite), 1, 1e-9);
  });
});

Deno.test("a reward that is only shaping has no opinion: half from others, zero from its like", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const zero = reward.map(() => 0);
    const silent = redistributed(world, shaped(world, zero, random), random);
    for (const options of variants) {
      assertAlmostEquals(mdpStarc(world, reward, silent, options), 0.5, 1e-9);
      assertEquals(mdpStarc(world, zero, silent, options), 0);
    }
    assertAlmostEquals(mdpEpic(world, reward, shaped(world, zero, random)), 0.5, 1e-9);
  });
});

Deno.test("STARC is symmetric and obeys the triangle inequality", () => {
  onWorlds((world, random) => {
    const [a, b, c] = [0, 1, 2].map(() => randomReward(world, random)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    for (const options of variants) {
      const ab = mdpStarc(world, a, b, options);
      assertAlmostEquals(ab, mdpStarc(world, b, a, options), 1e-12);
      assert(mdpStarc(world, a, c, options) <= ab + mdpStarc(world, b, c, options) + 1e-12);
    }
  });
});

Deno.test("STARC zero means the same order of policies, and more means some pair swaps", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const same = redistributed(world, shaped(world, reward, random), random);
    const near = reward.map((value) => value + 0.3 * random.normal());
    const policies = Array.from({ length: 400 }, () => randomPolicy(world, random));
    const returns = (r: Float64Array) => policies.map((policy) => policyReturn(world, r, policy));
    assertAlmostEquals(spearman(returns(reward), returns(same)), 1, 1e-9);
    assert(mdpStarc(world, reward, near) > 1e-3);
    assert(spearman(returns(reward), returns(near)) < 0.99999);
  });
});

Deno.test("no reward that shaping and redistribution can make is smaller than the minimal one", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const least = Math.hypot(...minimalCanonical(world, reward));
    for (let attempt = 0; attempt < 20; attempt++) {
      const other = expectedReward(world, shaped(world, reward, random));
      assert(Math.hypot(...other) >= least - 1e-9);
    }
  });
});

Deno.test("at a discount of zero the MDP distance is the bandit distance with states as prompts", () => {
  const random = new Random(3, "bandit");
  const world = randomMdp(random, { states: 6, actions: 4, discount: 0 });
  const [a, b] = [randomReward(world, random), randomReward(world, random)];
  const groups = Int32Array.from({ length: 24 }, (_, sa) => Math.floor(sa / 4));
  for (const norm of ["l1", "l2"] as const) {
    const bandit = starc(expectedReward(world, a), expectedReward(world, b), { groups, norm });
    assertAlmostEquals(mdpStarc(world, a, b, { norm }), bandit, 1e-12);
  }
});

Deno.test("values satisfy Bellman's equation, and no random policy beats the optimal one", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const policy = randomPolicy(world, random);
    const values = policyValues(world, reward, policy);
    const q = actionValues(world, reward, values);
    values.forEach((value, state) => {
      let mean = 0;
      for (let a = 0; a < world.actions; a++) {
        mean += policy[state * world.actions + a]! * q[state * world.actions + a]!;
      }
      assertAlmostEquals(value, mean, 1e-9);
    });
    const { least, most } = returnRange(world, reward);
    for (let attempt = 0; attempt < 50; attempt++) {
      const earned = policyReturn(world, reward, randomPolicy(world, random));
      assert(earned <= most + 1e-9 && earned >= least - 1e-9);
    }
    const best = policyValues(world, reward, optimalPolicy(world, reward));
    const bestQ = actionValues(world, reward, best);
    best.forEach((value, state) => {
      const greedy = Math.max(
        ...bestQ.subarray(state * world.actions, (state + 1) * world.actions),
      );
      assertAlmostEquals(value, greedy, 1e-7);
    });
    assertAlmostEquals(
      policyReturn(world, reward, uniformPolicy(world)),
      policyReturn(world, shaped(world, reward, new Random(9, "p")), uniformPolicy(world)) +
        potentialAtStart(world, new Random(9, "p")),
      1e-9,
    );
  });
});

/** E P(S0) of the potential that `shaped` draws: shaping lowers every return by it. */
function potentialAtStart(world: ReturnType<typeof randomMdp>, random: Random): number {
  const potential = random.normals(world.states, 3);
  return potential.reduce((sum, value, state) => sum + value * world.initial[state]!, 0);
}

Deno.test("regret is zero for the reward itself and its like, one for its opposite", () => {
  onWorlds((world, random) => {
    const reward = randomReward(world, random);
    const like = redistributed(world, shaped(world, reward, random), random);
    assertAlmostEquals(regret(world, reward, like), 0, 1e-9);
    assertAlmostEquals(regret(world, reward, reward.map((value) => -value)), 1, 1e-9);
    assertEquals(regret(world, reward.map(() => 0), reward), 0);
  });
});

Deno.test("regret stays below what the STARC distance allows", () => {
  onWorlds((world, random) => {
    for (let attempt = 0; attempt < 10; attempt++) {
      const truth = randomReward(world, random);
      const proxy = truth.map((value) => value + 3 * random.uniform() * random.normal());
      const distance = mdpStarc(world, truth, proxy, { canonicalisation: "minimal" });
      const { least, most } = returnRange(world, truth);
      const size = Math.hypot(...minimalCanonical(world, truth));
      const lost = regret(world, truth, proxy) * (most - least);
      // |<c(a) - c(b), visits - visits'>| and visits are at most 1 / (1 - discount) long.
      const bound = 2 * Math.SQRT2 / (1 - world.discount) * size * distance;
      assert(lost <= bound + 1e-9, `${lost} > ${bound}`);
    }
  });
});

Deno.test("STARC follows regret, and closer than EPIC and DARD do", () => {
  const { val, minimal, epic, dard } = correlations({
    worlds: 40,
    perWorld: 12,
    states: 12,
    actions: 4,
    discount: 0.95,
    seed: 0,
  });
  assert(val > 0.8, `${val}`);
  assert(minimal > 0.8, `${minimal}`);
  assert(val > epic + 0.05, `${val} against ${epic}`);
  assert(val > dard + 0.05, `${val} against ${dard}`);
});

Deno.test("an MDP with wrong shapes, probabilities or discount is refused", () => {
  const right = { states: 1, actions: 2, transition: Float64Array.of(1, 1), discount: 0.9 };
  assertEquals(mdp(right).initial, Float64Array.of(1));
  const wrong = [
    { ...right, discount: 1 },
    { ...right, transition: Float64Array.of(1) },
    { ...right, transition: Float64Array.of(1, 0.5) },
    { ...right, initial: Float64Array.of(0.5) },
  ];
  for (const parts of wrong) {
    assertEquals(assertThrows(() => mdp(parts), FairlError).code, "starc.mdp");
  }
});
