/** The parts of the trainer that need no device. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import fc from "fast-check";
import { FairlError, Random } from "../../src/base/mod.ts";
import { acrossPairs, rowsOf, standardisation, standardised } from "../../src/irl/data.ts";
import {
  asGoodAs,
  calibratedLosses,
  failuresBelow,
  keptIn,
  separation,
} from "../../src/irl/mod.ts";
import { freshWeights } from "../../src/irl/path.ts";

// Thousandths: the square of a number like 1e-162 is 0, and so is then its deviation.
const thousandths = fc.integer({ min: -5000, max: 5000 }).map((x) => x / 1000);
const gaps = fc.array(thousandths, { minLength: 2, maxLength: 60 })
  .filter((values) => new Set(values).size > 1);

Deno.test("separation() does not see a positive scale", () => {
  fc.assert(fc.property(gaps, fc.double({ min: 0.01, max: 100, noNaN: true }), (values, scale) => {
    assertAlmostEquals(separation(values.map((x) => x * scale)), separation(values), 1e-6);
  }));
});

Deno.test("separation() is the lowest calibrated Bradley-Terry loss over all temperatures", () => {
  fc.assert(fc.property(gaps, (values) => {
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const spread = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
    if (spread < 1e-6) return;
    const best = separation(values);
    for (let power = -6; power <= 6; power += 0.25) {
      const s = 2 ** power / spread;
      const loss = values.reduce((sum, x) => sum + Math.log1p(Math.exp(-s * x)), 0) / values.length;
      assert(best <= loss + 1e-9, `${best} above ${loss} at ${s}`);
    }
  }));
});

Deno.test("a reward is as good as itself, a scaled one too, and a wrong one is not", () => {
  fc.assert(fc.property(gaps, fc.constantFrom(0.25, 1, 8), (values, scale) => {
    const scaled = calibratedLosses(values.map((x) => x * scale));
    assert(asGoodAs(scaled, calibratedLosses(values), values.length));
  }));
  const right = Array.from({ length: 50 }, (_, at) => 1 + at % 5);
  const wrong = calibratedLosses(right.map((x) => -x));
  assert(!asGoodAs(wrong, calibratedLosses(right), 50));
});

Deno.test("separation() of gaps that point the wrong way is ln 2, and none at all is an error", () => {
  assertEquals(separation([-1, -2, 0.5]), Math.LN2);
  assertEquals(separation([0, 0]), Math.LN2);
  assertThrows(() => separation([]), FairlError);
});

Deno.test("failures are the pairs below tau, and each curriculum ends with all of them", () => {
  fc.assert(fc.property(gaps, fc.double({ min: 0, max: 2, noNaN: true }), (values, tau) => {
    const all = Float32Array.from(values);
    const below = all.map((gap) => gap < tau ? 1 : 0);
    for (const curriculum of ["all", "violations-first", "ties-first"] as const) {
      const select = failuresBelow(tau, curriculum);
      assertEquals([...select(all, 4, 4).member], [...below]);
      // What a round let in stays in while the gaps are the same.
      const [early, late] = [select(all, 1, 4), select(all, 2, 4)];
      early.member.forEach((inside, pair) => assert(!inside || late.member[pair]));
      const { violations, nearTies } = select(all, 4, 4);
      assertEquals(violations + nearTies, below.reduce((sum, inside) => sum + inside, 0));
    }
  }));
});

Deno.test("violations come before near ties, or after them when the curriculum is reversed", () => {
  const values = Float32Array.of(0.3, -2, 0.1, -0.5, 3);
  assertEquals([...failuresBelow(1, "violations-first")(values, 1, 2).member], [0, 1, 0, 1, 0]);
  assertEquals([...failuresBelow(1, "ties-first")(values, 1, 2).member], [1, 0, 1, 0, 0]);
});

Deno.test("standardised training texts have mean 0 and mean square 1", () => {
  const random = new Random(1);
  const data = {
    features: random.normals(40 * 3, 5).map((x, at) => x + at % 3) as Float32Array<ArrayBuffer>,
    dimension: 3,
    chosen: Int32Array.from({ length: 20 }, (_, pair) => 2 * pair),
    rejected: Int32Array.from({ length: 20 }, (_, pair) => 2 * pair + 1),
  };
  const pairs = Int32Array.of(0, 3, 4, 9, 11);
  const { features } = standardised(data, pairs, standardisation(data, pairs));
  const rows = rowsOf(data, pairs).length;
  for (let at = 0; at < 3; at++) {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += features[row * 3 + at]!;
    assertAlmostEquals(sum / rows, 0, 1e-5);
  }
  assertAlmostEquals(features.reduce((sum, x) => sum + x * x, 0) / features.length, 1, 1e-5);
});

Deno.test("a finished stage is kept, a damaged or foreign one is computed again", async () => {
  const folder = await Deno.makeTempDir();
  let count = 0;
  const work = () => Promise.resolve({ count: ++count, weights: Float32Array.of(1, 2.5) });
  const stages = keptIn(folder, "a");
  const first = await stages.run("fit", work);
  assertEquals(await stages.run("fit", work), first);
  assertEquals(count, 1);
  await keptIn(folder, "b").run("fit", work);
  assertEquals(count, 2);
  for (const { name } of Deno.readDirSync(folder)) {
    const bytes = Deno.readFileSync(join(folder, name));
    bytes[bytes.length - 3]! ^= 1;
    Deno.writeFileSync(join(folder, name), bytes);
  }
  assertEquals((await keptIn(folder, "a").run("fit", work)).count, 3);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("comparisons across pairs stay within a group, after the pairs themselves", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 30 }), fc.nat(3), (of, times) => {
      const chosen = Int32Array.from(of, (_, pair) => 2 * pair);
      const rejected = Int32Array.from(of, (_, pair) => 2 * pair + 1);
      const features = new Float32Array(2 * of.length);
      const result = acrossPairs(
        { features, dimension: 1, chosen, rejected },
        Int32Array.from(of),
        times,
        new Random(0),
      );
      assertEquals([...result.chosen.subarray(0, of.length)], [...chosen]);
      const sizes = of.map((group) => of.filter((other) => other === group).length);
      const more = times * sizes.filter((size) => size > 1).length;
      assertEquals(result.chosen.length, of.length + more);
      result.chosen.forEach((row, at) => {
        assertEquals(of[row >> 1], of[result.rejected[at]! >> 1]);
        assertEquals(result.source[at], row >> 1);
      });
    }),
  );
});

Deno.test("units that start in twins cancel out, and an odd number of them is an error", () => {
  const start = { hidden: 0.01, output: 30 };
  const fresh = (hidden: number) => freshWeights({ kind: "mlp", hidden }, 3, new Random(0), start);
  const { hidden, bias, output } = fresh(4);
  for (const [weights, rows] of [[hidden!, 3], [bias!, 1]] as const) {
    for (let row = 0; row < rows; row++) {
      const [a, b, c, d] = weights.data.subarray(4 * row, 4 * row + 4);
      assertEquals([a, b], [c, d]);
      assert(a !== b && Math.abs(a!) <= 0.01 / Math.sqrt(3));
    }
  }
  assertEquals([...output!.data], [30, 30, -30, -30]);
  const error = assertThrows(() => fresh(5), FairlError);
  assertEquals(error.code, "irl.odd-units");
});
