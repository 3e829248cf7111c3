/** How long the intervals of a whole table row take: `deno bench -A test/metrics/bootstrap.bench.ts`. */
import { Random } from "../../src/base/mod.ts";
import {
  accuracy,
  bootstrap,
  brier,
  f1,
  pairAccuracy,
  probabilities,
  Ranked,
  type Statistic,
} from "../../src/metrics/mod.ts";
import { starcStatistic } from "../../src/starc/mod.ts";

const ROWS = 4_000;
const random = new Random(0, "bench");
const labels = Float64Array.from({ length: ROWS }, (_, row) => row % 2);
const scores = labels.map((label) => 2 * label + random.normal());
const reference = scores.map((score) => score + random.normal());
const predicted = probabilities({ a: 2, b: -2 }, scores);
const groups = Int32Array.from(labels, (_, row) => row >> 1);
const ranked = new Ranked(scores, labels);
const calibrated = new Ranked(predicted, labels);

const figures: Record<string, Statistic> = {
  pairAccuracy: (weights) => pairAccuracy(scores, weights),
  accuracy: (weights) => accuracy(scores, labels, 1, weights),
  f1: (weights) => f1(scores, labels, 1, weights),
  rocAuc: (weights) => ranked.rocAuc(weights),
  averagePrecision: (weights) => ranked.averagePrecision(weights),
  ece: (weights) => calibrated.ece(15, weights),
  brier: (weights) => brier(predicted, labels, weights),
  starc: starcStatistic(scores, reference, { groups }),
};

Deno.bench("8 figures, 4,000 rows, 1,000 resamples", () => {
  bootstrap(figures, { clusters: groups, seed: 0 });
});
for (const [name, statistic] of Object.entries(figures)) {
  Deno.bench(`${name} alone`, () => {
    bootstrap({ figure: statistic }, { clusters: groups, seed: 0 });
  });
}
