/** What a bootstrap interval must be: repeatable, over clusters, and right as often as it says. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { coverage } from "./coverage.ts";
import { Random } from "../../src/base/mod.ts";
import { bootstrap, clusterIds, pairAccuracy, Ranked } from "../../src/metrics/mod.ts";

Deno.test("the same seed gives the same interval, another seed another", () => {
  const gaps = new Random(0, "gaps").normals(100).map((gap) => gap + 1);
  const draw = (seed: number) =>
    bootstrap({ x: (weights) => pairAccuracy(gaps, weights) }, { clusters: 100, seed }).x;
  assertEquals(draw(1), draw(1));
  assertEquals(draw(1).value, draw(2).value);
  assert(draw(1).low < draw(1).value && draw(1).value < draw(1).high);
});

Deno.test("rows move with their cluster: copies of a cluster's rows add no certainty", () => {
  const gaps = new Random(0, "gaps").normals(60).map((gap) => gap + 1);
  const once = bootstrap({ x: (w) => pairAccuracy(gaps, w) }, { clusters: 60, seed: 3 }).x;
  const copies = Float32Array.from({ length: 600 }, (_, row) => gaps[row % 60]!);
  const clusters = Int32Array.from(copies, (_, row) => 17 * (row % 60) - 5);
  const tenfold = bootstrap({ x: (w) => pairAccuracy(copies, w) }, { clusters, seed: 3 }).x;
  assertEquals(tenfold.n, 60);
  for (const key of ["value", "low", "high"] as const) {
    assertAlmostEquals(once[key], tenfold[key], 1e-12);
  }
});

Deno.test("limits agree with the normal approximation where that is right", () => {
  const values = new Random(0, "values").normals(2_000);
  const mean = (weights: Float64Array) => {
    let [sum, total] = [0, 0];
    weights.forEach((weight, row) => {
      sum += weight * values[row]!;
      total += weight;
    });
    return sum / total;
  };
  for (const method of ["bca", "percentile"] as const) {
    const { value, low, high } =
      bootstrap({ mean }, { clusters: 2_000, seed: 0, resamples: 4_000, method }).mean;
    assertAlmostEquals(low, value - 1.96 / Math.sqrt(2_000), 0.003);
    assertAlmostEquals(high, value + 1.96 / Math.sqrt(2_000), 0.003);
  }
});

Deno.test("a wider level holds a narrower one", () => {
  const gaps = new Random(4, "gaps").normals(80).map((gap) => gap + 0.7);
  const at = (level: number) =>
    bootstrap({ x: (w) => pairAccuracy(gaps, w) }, { clusters: 80, seed: 0, level }).x;
  assert(at(0.99).low < at(0.8).low && at(0.8).high < at(0.99).high);
});

Deno.test("what is not defined has no limits, and undefined resamples are left out", () => {
  const oneLabel = new Ranked([1, 2, 3], [1, 1, 1]);
  const missing = bootstrap({ auc: (w) => oneLabel.rocAuc(w) }, { clusters: 3, seed: 0 }).auc;
  assertEquals(missing, { value: NaN, low: NaN, high: NaN, n: 3 });
  // Four rows: one resample in eight has one label only.
  const few = new Ranked([1, 2, 3, 4], [0, 1, 0, 1]);
  const { low, high } = bootstrap({ auc: (w) => few.rocAuc(w) }, { clusters: 4, seed: 0 }).auc;
  assert(low >= 0 && low < high && high <= 1);
  const alone = bootstrap({ x: (w) => pairAccuracy([1, -1], w) }, { clusters: [5, 5], seed: 0 }).x;
  assertEquals(alone, { value: 0.5, low: NaN, high: NaN, n: 1 });
});

Deno.test("BCa holds the truth about as often as it says on few rows, and oftener than percentiles", () => {
  const settings = { world: "AUC .92", clusters: 40, sets: 300, resamples: 300 };
  const bca = coverage({ ...settings, method: "bca" });
  const percentile = coverage({ ...settings, method: "percentile" });
  // 95 % of 300 has a deviation of 1.3 points.
  assert(bca.held > 0.91, `${bca.held}`);
  assert(bca.held > percentile.held, `${bca.held} against ${percentile.held}`);
  const clustered = coverage({
    world: "pair accuracy .80, clustered",
    clusters: 60,
    sets: 300,
    resamples: 300,
    method: "bca",
  });
  assert(clustered.held > 0.91, `${clustered.held}`);
});

Deno.test("clusterIds counts keys in the order of first sight", () => {
  assertEquals([...clusterIds(["b", "a", "b", "c", "a"])], [0, 1, 0, 2, 1]);
  assertEquals([...clusterIds(Int32Array.of(-7, 3, -7))], [0, 1, 0]);
});
