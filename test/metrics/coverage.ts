/**
 * How often an interval holds the truth, on data whose truth is known.
 * `deno run -A test/metrics/coverage.ts` prints the table of docs/starc.md.
 */
import { Random } from "../../src/base/mod.ts";
import { bootstrap, pairAccuracy, pearson, Ranked, type Statistic } from "../../src/metrics/mod.ts";

interface Sample {
  clusters: ArrayLike<number> | number;
  statistic: Statistic;
}

/** Each draws a data set of so many clusters; `truth` is the figure of the whole population. */
const WORLDS: Record<string, { truth: number; draw(random: Random, clusters: number): Sample }> = {
  "pair accuracy .80, clustered": {
    // Gaps 1.19 + cluster + row, both of deviation 1: P(N(1.19, 2) > 0).
    truth: 0.8,
    draw(random, count) {
      const clusters: number[] = [];
      const gaps: number[] = [];
      for (let cluster = 0; cluster < count; cluster++) {
        const shared = 1.1902 + random.normal();
        for (let row = random.integer(4); row >= 0; row--) {
          clusters.push(cluster);
          gaps.push(shared + random.normal());
        }
      }
      return { clusters, statistic: (weights) => pairAccuracy(gaps, weights) };
    },
  },
  "pair accuracy .95": {
    truth: 0.95,
    draw(random, clusters) {
      const gaps = Float64Array.from({ length: clusters }, () => random.uniform() < 0.95 ? 1 : -1);
      return { clusters, statistic: (weights) => pairAccuracy(gaps, weights) };
    },
  },
  "AUC .92": {
    // Two normal classes d apart: P(N(d, 2) > 0) with d = 1.9871.
    truth: 0.92,
    draw(random, clusters) {
      const labels = Float64Array.from({ length: clusters }, () => random.integer(2));
      const ranked = new Ranked(labels.map((label) => random.normal() + 1.9871 * label), labels);
      return { clusters, statistic: (weights) => ranked.rocAuc(weights) };
    },
  },
  "STARC .224, normal rewards": {
    truth: Math.sqrt(0.05),
    draw: (random, clusters) => distance(clusters, () => random.normal(), 0.9),
  },
  "STARC .224, Laplace rewards": {
    truth: Math.sqrt(0.05),
    draw: (random, clusters) =>
      distance(
        clusters,
        () => Math.log(1 - random.uniform()) - Math.log(1 - random.uniform()),
        0.9,
      ),
  },
};

/** The distance of two centred rewards with this correlation, over prompts of two completions. */
function distance(clusters: number, noise: () => number, correlation: number): Sample {
  const a = Float64Array.from({ length: clusters }, noise);
  const b = a.map((value) => correlation * value + Math.sqrt(1 - correlation ** 2) * noise());
  // A prompt's canonical rewards are plus and minus half its gap, so both its rows are one number.
  const [both, mirrored] = [a, b].map((gaps) => Float64Array.of(...gaps, ...gaps.map((g) => -g)));
  const twice = (weights: Float64Array) => Float64Array.of(...weights, ...weights);
  return {
    clusters,
    statistic: (weights) => Math.sqrt((1 - pearson(both!, mirrored!, twice(weights))) / 2),
  };
}

/** The share of data sets whose interval holds the truth, and the mean width. */
export function coverage(options: {
  world: string;
  clusters: number;
  sets: number;
  resamples: number;
  method: "bca" | "percentile";
}): { held: number; width: number } {
  const { truth, draw } = WORLDS[options.world]!;
  let [held, width] = [0, 0];
  for (let seed = 0; seed < options.sets; seed++) {
    const random = new Random(seed, `${options.world} ${options.clusters}`);
    const { clusters, statistic } = draw(random, options.clusters);
    const { low, high } = bootstrap({ statistic }, { ...options, clusters, seed }).statistic;
    if (low <= truth && truth <= high) held++;
    width += high - low;
  }
  return { held: held / options.sets, width: width / options.sets };
}

if (import.meta.main) {
  for (const world of Object.keys(WORLDS)) {
    for (const clusters of [30, 100, 300]) {
      const cells = (["percentile", "bca"] as const).map((method) => {
        const { held, width } = coverage({ world, clusters, sets: 1000, resamples: 500, method });
        return `${method} ${(100 * held).toFixed(1)} % (width ${width.toFixed(3)})`;
      });
      // deno-lint-ignore no-console
      console.log(`${world}, ${clusters} clusters: ${cells.join(", ")}`);
    }
  }
}
