/** Figures against their definitions, spelled out slowly. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FairlError, Random } from "../../src/base/mod.ts";
import {
  accuracy,
  averagePrecision,
  brier,
  ece,
  f1,
  histogram,
  mcnemar,
  midpointThreshold,
  pairAccuracy,
  pearson,
  plattScaling,
  probabilities,
  quantile,
  quantileOf,
  Ranked,
  reliabilityCurve,
  rocAuc,
  rocCurve,
  spearman,
  temperatureScaling,
} from "../../src/metrics/mod.ts";

/** Scored, labelled rows with ties and multiplicities; both labels are there. */
const rows = fc.array(
  fc.record({
    score: fc.integer({ min: -4, max: 4 }),
    label: fc.integer({ min: 0, max: 1 }),
    weight: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 2, maxLength: 30 },
).filter((all) =>
  [0, 1].every((label) => all.some((row) => row.label === label && row.weight > 0))
);

function columns(all: { score: number; label: number; weight: number }[]) {
  return {
    scores: all.map((row) => row.score),
    labels: all.map((row) => row.label),
    weights: all.map((row) => row.weight),
  };
}

/** Each row as often as its weight says. */
function repeated<T extends { weight: number }>(all: T[]): T[] {
  return all.flatMap((row) => Array<T>(row.weight).fill(row));
}

Deno.test("ROC-AUC is the share of couples in order, ties half", () => {
  fc.assert(fc.property(rows, (all) => {
    let wins = 0;
    let couples = 0;
    for (const good of all.filter((row) => row.label === 1)) {
      for (const bad of all.filter((row) => row.label === 0)) {
        wins += (Math.sign(good.score - bad.score) + 1) / 2;
        couples++;
      }
    }
    const { scores, labels } = columns(all);
    assertAlmostEquals(rocAuc(scores, labels), wins / couples, 1e-12);
  }));
});

Deno.test("average precision adds precision times the gain in recall at each distinct score", () => {
  fc.assert(fc.property(rows, (all) => {
    const { scores, labels } = columns(all);
    const positives = labels.filter((label) => label === 1).length;
    let expected = 0;
    let recall = 0;
    for (const threshold of [...new Set(scores)].sort((a, b) => b - a)) {
      const called = all.filter((row) => row.score >= threshold);
      const hits = called.filter((row) => row.label === 1).length;
      expected += (hits / positives - recall) * hits / called.length;
      recall = hits / positives;
    }
    assertAlmostEquals(averagePrecision(scores, labels), expected, 1e-12);
  }));
});

Deno.test("a weight of k is the row k times, in every weighted figure", () => {
  fc.assert(fc.property(rows, (all) => {
    const one = columns(all);
    const many = columns(repeated(all));
    const sorted = new Ranked(one.scores, one.labels);
    const predicted = one.scores.map((score) => (score + 4) / 8);
    const predictedMany = many.scores.map((score) => (score + 4) / 8);
    const couples: [weighted: number, repeated: number][] = [
      [sorted.rocAuc(one.weights), rocAuc(many.scores, many.labels)],
      [sorted.averagePrecision(one.weights), averagePrecision(many.scores, many.labels)],
      [pairAccuracy(one.scores, one.weights), pairAccuracy(many.scores)],
      [accuracy(one.scores, one.labels, 0, one.weights), accuracy(many.scores, many.labels, 0)],
      [f1(one.scores, one.labels, 0, one.weights), f1(many.scores, many.labels, 0)],
      [brier(predicted, one.labels, one.weights), brier(predictedMany, many.labels)],
      [new Ranked(predicted, one.labels).ece(5, one.weights), ece(predictedMany, many.labels, 5)],
      [
        pearson(one.scores, one.labels, one.weights),
        pearson(many.scores, many.labels),
      ],
    ];
    for (const [weighted, plain] of couples) {
      if (Number.isNaN(plain)) assertEquals(weighted, NaN);
      else assertAlmostEquals(weighted, plain, 1e-12);
    }
  }));
});

Deno.test("the area under the ROC curve by trapezia is the rank form", () => {
  fc.assert(fc.property(rows, (all) => {
    const { scores, labels } = columns(all);
    const curve = rocCurve(scores, labels);
    let area = 0;
    for (let i = 1; i < curve.length; i++) {
      const [from, to] = [curve[i - 1]!, curve[i]!];
      area += (to.falsePositiveRate - from.falsePositiveRate) *
        (from.truePositiveRate + to.truePositiveRate) / 2;
    }
    assertAlmostEquals(area, rocAuc(scores, labels), 1e-12);
    assertEquals([curve.at(-1)!.falsePositiveRate, curve.at(-1)!.truePositiveRate], [1, 1]);
  }));
});

Deno.test("a score that is not a number is refused, a missing label gives no AUC", () => {
  assertThrows(() => rocAuc([1, NaN], [0, 1]), FairlError, "not a number");
  assertEquals(rocAuc([1, 2], [1, 1]), NaN);
  assertEquals(averagePrecision([1, 2], [0, 0]), NaN);
  assertEquals(pairAccuracy([1, NaN]), NaN);
  assertEquals(pairAccuracy([]), NaN);
});

Deno.test("F1 is the harmonic mean of precision and recall", () => {
  const scores = [3, 2, 1, 0, -1, -2];
  const labels = [1, 0, 1, 1, 0, 0];
  // Above 0.5: three called, two right, of three to find.
  assertAlmostEquals(f1(scores, labels, 0.5), 2 / 3, 1e-15);
  // Above 2.5: one called and right.
  assertAlmostEquals(f1(scores, labels, 2.5), 2 * 1 * (1 / 3) / (1 + 1 / 3), 1e-15);
  assertAlmostEquals(accuracy(scores, labels, 0.5), 4 / 6, 1e-15);
  assertEquals(midpointThreshold([3, 1], [-1, 0]), 0.75);
});

Deno.test("Platt scaling finds the logistic curve that made the labels", () => {
  const random = new Random(1, "platt");
  const scores = random.normals(20_000, 3);
  const labels = Float64Array.from(
    scores,
    (score) => Number(random.uniform() < 1 / (1 + Math.exp(-(0.7 * score - 1)))),
  );
  const { a, b } = plattScaling(scores, labels);
  assertAlmostEquals(a, 0.7, 0.03);
  assertAlmostEquals(b, -1, 0.05);
});

Deno.test("Platt scaling stands at a stationary point of its smoothed likelihood, whatever the scale", () => {
  fc.assert(
    fc.property(
      rows,
      fc.constantFrom(1e-6, 1, 1e6),
      fc.double({ min: -9, max: 9, noNaN: true }),
      (all, scale, shift) => {
        const { labels } = columns(all);
        const scores = all.map((row) => scale * (row.score + shift));
        const predicted = probabilities(plattScaling(scores, labels), scores);
        const positives = labels.filter((label) => label === 1).length;
        let [slope, offset] = [0, 0];
        predicted.forEach((p, i) => {
          const target = labels[i] === 1
            ? (positives + 1) / (positives + 2)
            : 1 / (labels.length - positives + 2);
          slope += (p - target) * (scores[i]! / scale - shift);
          offset += p - target;
        });
        assertAlmostEquals(slope, 0, 1e-5);
        assertAlmostEquals(offset, 0, 1e-5);
      },
    ),
  );
});

Deno.test("calibration is finite on separable and on constant scores", () => {
  for (const fit of [plattScaling, temperatureScaling]) {
    for (const scores of [[1, 2, 3, 4], [5, 5, 5, 5]]) {
      const { a, b } = fit(scores, [0, 0, 1, 1]);
      assertEquals([Number.isFinite(a), Number.isFinite(b)], [true, true]);
    }
  }
  const rare = plattScaling([5, 5, 5, 5, 5, 5], [1, 0, 0, 0, 0, 0]);
  // The smoothed targets' mean: (2/3 + 5/7) / 6.
  assertAlmostEquals(probabilities(rare, [5])[0]!, (2 / 3 + 5 / 7) / 6, 1e-6);
});

Deno.test("temperature scaling finds the temperature of Bradley-Terry gaps and none for wrong ones", () => {
  const random = new Random(2, "temperature");
  const size = random.normals(20_000, 2);
  const gaps = Float64Array.from(
    size,
    (gap) => random.uniform() < 1 / (1 + Math.exp(-gap / 4)) ? gap : -gap,
  );
  const ones = new Float64Array(gaps.length).fill(1);
  assertAlmostEquals(1 / temperatureScaling(gaps, ones).a, 4, 0.3);
  assertEquals(temperatureScaling(gaps.map((gap) => -gap), ones), { a: 0, b: 0 });
});

Deno.test("ECE is small for true probabilities and large for boasts", () => {
  const random = new Random(3, "ece");
  const truth = Float64Array.from({ length: 20_000 }, () => random.uniform());
  const labels = truth.map((p) => Number(random.uniform() < p));
  assertEquals(ece(truth, labels) < 0.015, true);
  const boast = truth.map((p) => p > 0.5 ? 0.99 : 0.01);
  assertAlmostEquals(ece(boast, labels), 0.24, 0.01);
  const curve = reliabilityCurve(truth, labels, 10);
  assertEquals(curve.map((bin) => bin.count), Array(10).fill(2_000));
});

Deno.test("quantileOf undoes quantile, between the sorted values and on them", () => {
  const sorted = fc.uniqueArray(fc.integer({ min: -1000, max: 1000 }), {
    minLength: 2,
    maxLength: 20,
  }).map((values) => values.sort((a, b) => a - b));
  fc.assert(fc.property(sorted, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
    assertAlmostEquals(quantileOf(values, quantile(values, share)), share, 1e-9);
  }));
  assertEquals(quantileOf([0, 1, 1, 1, 2], 1), 0.5);
  assertEquals([quantileOf([0, 1], -1), quantileOf([0, 1], 2)], [0, 1]);
});

Deno.test("a histogram loses no value", () => {
  const values = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1 });
  fc.assert(fc.property(values, fc.integer({ min: 1, max: 9 }), (all, bins) => {
    for (const range of [{}, { low: -1, high: 1 }]) {
      const { counts, edges } = histogram(all, { bins, ...range });
      assertEquals(counts.reduce((sum, count) => sum + count, 0), all.length);
      assertEquals(edges.length, bins + 1);
    }
  }));
});

Deno.test("McNemar's probability is the binomial one, and does not break at large counts", () => {
  const rated = (onlyFirst: number, onlySecond: number, both = 3) => {
    const first = [
      ...Array(onlyFirst).fill(1),
      ...Array(onlySecond).fill(0),
      ...Array(both).fill(1),
    ];
    const second = [
      ...Array(onlyFirst).fill(0),
      ...Array(onlySecond).fill(1),
      ...Array(both).fill(1),
    ];
    return mcnemar(first, second);
  };
  assertEquals(rated(0, 0).p, 1);
  assertEquals(rated(4, 4).p, 1);
  // 2 (1 + 10 + 45) / 2^10
  assertAlmostEquals(rated(2, 8).p, 112 / 1024, 1e-12);
  // The counts that the paper reports; the normal approximation has z = 14.25.
  const claimed = rated(1001, 457);
  assertEquals([claimed.onlyFirst, claimed.onlySecond], [1001, 457]);
  assertEquals(claimed.p > 1e-47 && claimed.p < 1e-44, true);
});

Deno.test("correlations: Spearman is Pearson of mid-ranks, and neither is defined without spread", () => {
  assertAlmostEquals(pearson([1, 2, 3, 4], [1, 3, 2, 4]), 0.8, 1e-12);
  assertAlmostEquals(spearman([1, 2, 3, 4], [10, 1000, 100, 2000]), 0.8, 1e-12);
  // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
  assertAlmostEquals(spearman([1, 2, 2, 3], [1, 2, 3, 4]), 4.5 / Math.sqrt(4.5 * 5), 1e-12);
  assertEquals(pearson([1, 1], [1, 2]), NaN);
});
