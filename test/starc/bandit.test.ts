/** The algebra of the bandit distances, on random rewards. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Random } from "../../src/base/mod.ts";
import { bootstrap, pearson } from "../../src/metrics/mod.ts";
import {
  canonicalise,
  epic,
  epicInterval,
  starc,
  starcInterval,
  starcStatistic,
} from "../../src/starc/mod.ts";

const number = fc.double({ min: -100, max: 100, noNaN: true });
/** Small whole numbers: ties, constants and lone prompts are common. */
const digit = fc.integer({ min: -2, max: 2 });

/** Three rewards over the same rows, grouped by prompt. */
const worlds = fc.oneof(number, digit).chain(() =>
  fc.array(
    fc.record({
      prompt: fc.integer({ min: 0, max: 4 }),
      a: fc.oneof(number, digit),
      b: fc.oneof(number, digit),
      c: fc.oneof(number, digit),
      weight: fc.integer({ min: 1, max: 3 }),
    }),
    { minLength: 1, maxLength: 20 },
  )
);

type World = { prompt: number; a: number; b: number; c: number; weight: number }[];
const norms = ["l1", "l2"] as const;

function columns(world: World) {
  return {
    a: world.map((row) => row.a),
    b: world.map((row) => row.b),
    c: world.map((row) => row.c),
    groups: world.map((row) => row.prompt),
    weights: world.map((row) => row.weight),
  };
}

/** Whether a reward prefers anything on any prompt, by more than rounding. */
function hasOpinion(rewards: number[], groups: number[]): boolean {
  return rewards.some((value, i) =>
    rewards.some((other, j) => groups[i] === groups[j] && Math.abs(value - other) > 1e-3)
  );
}

Deno.test("starc() is symmetric, zero to itself and obeys the triangle inequality", () => {
  fc.assert(fc.property(worlds, fc.constantFrom(...norms), (world, norm) => {
    const { a, b, c, groups, weights } = columns(world);
    const distance = (x: number[], y: number[]) => starc(x, y, { groups, norm, weights });
    assertAlmostEquals(distance(a, b), distance(b, a), 1e-12);
    assertEquals(distance(a, a), 0);
    assert(distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12);
    assert(distance(a, b) <= 1);
  }));
});

Deno.test("starc() is zero under positive scales and per-prompt shifts, one under negation", () => {
  const scale = fc.double({ min: 1e-3, max: 1e3, noNaN: true });
  const shifts = fc.array(number, { minLength: 5, maxLength: 5 });
  fc.assert(
    fc.property(worlds, scale, shifts, fc.constantFrom(...norms), (world, factor, shift, norm) => {
      const { a, groups, weights } = columns(world);
      fc.pre(hasOpinion(a, groups));
      const moved = a.map((value, row) => factor * value + shift[groups[row]!]!);
      assertAlmostEquals(starc(a, moved, { groups, norm, weights }), 0, 1e-6);
      assertAlmostEquals(
        starc(a, moved.map((value) => -value), { groups, norm, weights }),
        1,
        1e-6,
      );
    }),
  );
});

Deno.test("starc() does not depend on the order of rows or the names of prompts", () => {
  fc.assert(fc.property(worlds, fc.integer(), (world, seed) => {
    const order = Array.from(new Random(seed, "order").permutation(world.length));
    const [one, two] = [columns(world), columns(order.map((row) => world[row]!))];
    assertAlmostEquals(
      starc(one.a, one.b, { groups: one.groups }),
      starc(two.a, two.b, { groups: two.groups.map((prompt) => 1000 - 7 * prompt) }),
      1e-12,
    );
  }));
});

Deno.test("a reward with no opinion is half from any other and zero from another such", () => {
  fc.assert(fc.property(worlds, fc.constantFrom(...norms), (world, norm) => {
    const { a, groups } = columns(world);
    fc.pre(hasOpinion(a, groups));
    const silent = groups.map((prompt) => 0.1 + prompt / 3);
    const zero = groups.map(() => 0);
    assertAlmostEquals(starc(a, silent, { groups, norm }), 0.5, 1e-12);
    assertEquals(starc(silent, zero, { groups, norm }), 0);
  }));
});

Deno.test("a weight of k is the row k times", () => {
  fc.assert(fc.property(worlds, fc.constantFrom(...norms), (world, norm) => {
    const one = columns(world);
    const many = columns(world.flatMap((row) => Array(row.weight).fill(row)));
    assertAlmostEquals(
      starc(one.a, one.b, { groups: one.groups, weights: one.weights, norm }),
      starc(many.a, many.b, { groups: many.groups, norm }),
      1e-9,
    );
    // The same through a resample's counts.
    assertAlmostEquals(
      starcStatistic(one.a, one.b, { groups: one.groups, norm })(Float64Array.from(one.weights)),
      starc(many.a, many.b, { groups: many.groups, norm }),
      1e-9,
    );
  }));
});

Deno.test("epic() is the Pearson distance of rewards centred per prompt", () => {
  fc.assert(fc.property(worlds, (world) => {
    const { a, b, groups, weights } = columns(world);
    fc.pre(hasOpinion(a, groups) && hasOpinion(b, groups));
    const [x, y] = [a, b].map((reward) => canonicalise(reward, { groups, weights }).values);
    const correlation = pearson(x!, y!, weights);
    assertAlmostEquals(epic(a, b, { groups, weights }), Math.sqrt((1 - correlation) / 2), 1e-6);
  }));
});

Deno.test("unrelated rewards are sqrt(1/2) apart in l2", () => {
  const random = new Random(0, "unrelated");
  const [a, b] = [random.normals(40_000), random.normals(40_000)];
  const groups = Int32Array.from(a, (_, row) => row >> 2);
  assertAlmostEquals(starc(a, b, { groups }), Math.SQRT1_2, 0.01);
});

Deno.test("lone completions are counted and change nothing", () => {
  const { values, dropped } = canonicalise([5, 1, 2, 9], { groups: [7, 3, 3, 8] });
  assertEquals([[...values], dropped], [[0, -0.5, 0.5, 0], 2]);
  assertEquals(
    starc([5, 1, 2, 9], [0, 1, 3, 2], { groups: [7, 3, 3, 8] }),
    starc([1, 2], [1, 3]),
  );
});

Deno.test("the size of a reward does not matter, however small or large", () => {
  for (const factor of [5e-324, 1e-300, 1e-170, 1e170, 1e300]) {
    for (const norm of norms) {
      const moved = [0, 1, 0, 1].map((value) => factor * value);
      assertAlmostEquals(
        starc([1, 2, 4, 3], moved, { groups: [0, 0, 1, 1], norm }),
        {
          l1: 0.5,
          l2: Math.SQRT1_2,
        }[norm],
        1e-12,
      );
    }
  }
});

Deno.test("a reward that is not a number has no distance", () => {
  assertEquals(starc([1, NaN], [1, 2]), NaN);
});

/** a and b over prompts of two completions, correlated by `share`; and without the prompts. */
function pairs(prompts: number, share: number, seed: number) {
  const random = new Random(seed, "pairs");
  const a = random.normals(2 * prompts);
  const b = random.normals(2 * prompts).map((noise, row) =>
    share * a[row]! + Math.sqrt(1 - share ** 2) * noise
  );
  return { a, b, groups: Int32Array.from(a, (_, row) => row >> 1) };
}

Deno.test("the interval resamples prompts, given clusters, or the rows of a single group", () => {
  const { a, b, groups } = pairs(200, 0.8, 1);
  const byPrompt = starcInterval(a, b, { groups, seed: 0 });
  assertEquals([byPrompt.n, byPrompt.dropped], [200, 0]);
  assert(byPrompt.low < byPrompt.value && byPrompt.value < byPrompt.high);
  assertEquals(starcInterval(a, b, { seed: 0 }).n, 400);
  assertEquals(epicInterval(a, b, { clusters: groups, seed: 0 }).n, 200);
  assertEquals(byPrompt, starcInterval(a, b, { groups, seed: 0 }));
});

Deno.test("the interval of a distance holds the truth about as often as it says", () => {
  const truth = Math.sqrt((1 - 0.8) / 2);
  let held = 0;
  for (let seed = 0; seed < 200; seed++) {
    const { a, b, groups } = pairs(100, 0.8, seed + 10);
    const { low, high } = starcInterval(a, b, { groups, seed, resamples: 300 });
    if (low <= truth && truth <= high) held++;
  }
  // 95 % of 200 is 190 with a deviation of 3.1.
  assert(held >= 178, `${held} of 200`);
});

Deno.test("what is best under b loses under a at most what starc(a, b) allows", () => {
  fc.assert(fc.property(worlds, (world) => {
    const { a, b, groups } = columns(world);
    const { values } = canonicalise(a, { groups });
    const norm = Math.hypot(...values);
    let loss = 0;
    const prompts = new Set(groups);
    for (const prompt of prompts) {
      const rows = [...groups.keys()].filter((row) => groups[row] === prompt);
      const bestOf = (reward: ArrayLike<number>) =>
        rows.reduce((best, row) => reward[row]! > reward[best]! ? row : best);
      loss += values[bestOf(values)]! - values[bestOf(b)]!;
    }
    const bound = 2 * Math.sqrt(2 * prompts.size) * norm * starc(a, b, { groups });
    assert(loss <= bound + 1e-9, `${loss} > ${bound}`);
  }));
});

Deno.test("a paired difference is surer than its parts", () => {
  const { a, b, groups } = pairs(300, 0.7, 5);
  const random = new Random(6, "worse");
  const worse = b.map((value) => value + 0.3 * random.normal());
  const [near, far] = [starcStatistic(a, b, { groups }), starcStatistic(a, worse, { groups })];
  const figures = bootstrap({ near, far, gain: (w) => far(w) - near(w) }, {
    clusters: groups,
    seed: 0,
  });
  const width = ({ low, high }: { low: number; high: number }) => high - low;
  assert(figures.gain.low > 0);
  assert(width(figures.gain) < Math.min(width(figures.near), width(figures.far)));
});
