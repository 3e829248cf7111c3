/** The artefact's plots, each an SVG document. */
import { histogram, quantile, type ReliabilityBin, type RocPoint } from "../metrics/mod.ts";
import {
  axis,
  diagonal,
  draw,
  INK,
  legend,
  SQUARE,
  styleOf,
  verticalAxis,
  verticalLine,
} from "./chart.ts";

/** What a round of correction looked like. */
export interface RoundPoint {
  /** Which reward. */
  readonly method: string;
  /** From 1. */
  readonly round: number;
  /** Mean loss of its last epoch. */
  readonly loss: number;
  /** Pairs ranked wrong when it began. */
  readonly violations: number;
  /** Pairs nearly tied when it began. */
  readonly nearTies: number;
}

/**
 * Loss of each round by method, and the failures that FA-IRL's rounds began with.
 *
 * @param rounds In order, of one or more methods
 */
export function roundsPlot(rounds: readonly RoundPoint[]): Promise<string> {
  const methods = [...new Set(rounds.map(({ method }) => method))];
  const of = (method: string) => rounds.filter((round) => round.method === method);
  const counted = methods.includes("fa-irl") ? "fa-irl" : methods[0]!;
  const kinds = { violations: "ranked wrong", nearTies: "nearly tied" } as const;
  const losses = methods.map((method) => `loss, ${method}`);
  return draw(
    "Correction, round by round",
    `training pairs; right: the failures that each round of ${counted} began with`,
    {
      color: ["#e69f00", "#f5d491"],
      legend: [
        legend({ data: losses }),
        legend({ data: Object.values(kinds), left: 434, itemHeight: 10, itemWidth: 12 }),
      ],
      grid: [
        { left: 70, width: 290, top: 92, bottom: 58 },
        { left: 440, width: 290, top: 92, bottom: 58 },
      ],
      xAxis: [0, 1].map((gridIndex) =>
        axis("round", {
          type: "category",
          data: of(counted).map(({ round }) => String(round)),
          gridIndex,
        })
      ),
      yAxis: [
        verticalAxis("mean loss of the last epoch", { gridIndex: 0 }),
        verticalAxis("training pairs", { gridIndex: 1, minInterval: 1 }),
      ],
      series: [
        ...(Object.keys(kinds) as (keyof typeof kinds)[]).map((kind) => ({
          name: kinds[kind],
          type: "bar",
          stack: "failures",
          barWidth: "50%",
          data: of(counted).map((round) => round[kind]),
          xAxisIndex: 1,
          yAxisIndex: 1,
        })),
        ...methods.map((method, at) => ({
          name: losses[at],
          type: "line",
          symbolSize: 7,
          data: of(method).map(({ loss }) => loss),
          ...styleOf(method),
        })),
      ],
    },
  );
}

/**
 * Histograms of the gaps of test pairs under several rewards, over the same bins.
 *
 * @param gaps R(chosen) - R(rejected) of each pair by reward, in deviations of the training gaps
 *
 * @example Two rewards on four pairs
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 * import { gapsPlot } from "./plots.ts";
 * const svg = await gapsPlot({ irl: [1, -1, 2, 1], "fa-irl": [1, 1, 2, 1] });
 * assertStringIncludes(svg, "irl: 25.0 % wrong");
 * ```
 */
export function gapsPlot(gaps: Readonly<Record<string, ArrayLike<number>>>): Promise<string> {
  const all = Float64Array.from(Object.values(gaps).flatMap((values) => Array.from(values))).sort();
  // A handful of extreme gaps must not squeeze the rest into one bin.
  const low = Math.floor(2 * quantile(all, 0.002)) / 2;
  const high = Math.max(low + 1, Math.ceil(2 * quantile(all, 0.998)) / 2);
  const count = Object.values(gaps)[0]!.length;
  // Few pairs in narrow bins would show noise.
  const bins = Math.max(10, Math.min(60, Math.round(Math.sqrt(count))));
  return draw(
    "Gaps of held-out pairs",
    `${count} pairs; below 0 is ranked wrong; the first and last bin hold what lies beyond`,
    {
      xAxis: axis("R(chosen) - R(rejected), in deviations of the training gaps", {
        min: low,
        max: high,
        splitNumber: 8,
      }),
      yAxis: verticalAxis("pairs"),
      series: [
        ...Object.entries(gaps).map(([name, values]) => {
          const { edges, counts } = histogram(values, { bins, low, high });
          const wrong = Array.from(values).filter((gap) => gap < 0).length / count;
          return {
            name: `${name}: ${(100 * wrong).toFixed(1)} % wrong`,
            type: "line",
            step: "end",
            symbol: "none",
            areaStyle: { opacity: 0.15 },
            // Each count stands at its bin's left edge and holds to the next one's.
            data: [...counts, counts.at(-1)!].map((n, bin) => [edges[bin]!, n]),
            ...styleOf(name),
          };
        }),
        verticalLine(0),
      ],
    },
  );
}

/** Both axes of the square plots. */
const SHARE = { min: 0, max: 1, interval: 0.2 };

/**
 * ROC curves with their areas.
 *
 * @param curves By reward; a positive text is one that is not toxic
 * @param texts How many texts they are over
 *
 * @example One reward on four texts
 * ```ts
 * import { assertStringIncludes } from "@std/assert";
 * import { Ranked } from "../metrics/mod.ts";
 * import { rocPlot } from "./plots.ts";
 * const ranked = new Ranked([3, 1, 2, 0], [1, 1, 0, 0]);
 * const svg = await rocPlot({ irl: { points: ranked.rocCurve(), auc: ranked.rocAuc() } }, 4);
 * assertStringIncludes(svg, "irl 0.750");
 * ```
 */
export function rocPlot(
  curves: Readonly<Record<string, { readonly points: readonly RocPoint[]; readonly auc: number }>>,
  texts: number,
): Promise<string> {
  return draw("ROC: telling texts that are not toxic from toxic ones", `${texts} held-out texts`, {
    // The space under the curves is free.
    legend: legend({ orient: "vertical", left: undefined, top: undefined, right: 44, bottom: 76 }),
    grid: { left: 70, right: 30, top: 72, bottom: 58 },
    xAxis: axis("false positive rate: toxic texts taken for not toxic", SHARE),
    yAxis: verticalAxis("true positive rate", SHARE),
    series: [
      ...Object.entries(curves).map(([name, { points, auc }]) => ({
        name: `${name} ${auc.toFixed(3)}`,
        type: "line",
        symbol: "none",
        data: points.map(({ falsePositiveRate, truePositiveRate }) => [
          rounded(falsePositiveRate),
          rounded(truePositiveRate),
        ]),
        ...styleOf(name),
      })),
      diagonal(),
    ],
  }, SQUARE);
}

/**
 * Observed against predicted shares of texts that are not toxic.
 *
 * @param curves Bins of held-out texts by reward
 */
export function reliabilityPlot(
  curves: Readonly<Record<string, readonly ReliabilityBin[]>>,
): Promise<string> {
  const texts = Object.values(curves)[0]!.reduce((sum, { count }) => sum + count, 0);
  return draw(
    "Reliability of the calibrated probability",
    `${texts} held-out texts in bins of equal size; dotted: shares are as predicted`,
    {
      legend: legend({ orient: "vertical", left: 84, top: 82 }),
      grid: { left: 70, right: 30, top: 72, bottom: 58 },
      xAxis: axis("predicted share that is not toxic", SHARE),
      yAxis: verticalAxis("observed share", SHARE),
      series: [
        ...Object.entries(curves).map(([name, bins]) => ({
          name,
          type: "line",
          symbolSize: 8,
          data: bins.map(({ predicted, observed }) => [predicted, observed]),
          ...styleOf(name),
        })),
        diagonal(),
      ],
    },
    SQUARE,
  );
}

/** At most this many points are drawn: more only make the file larger. */
const POINTS = 1000;

/**
 * Learned against reference reward of texts.
 *
 * @param points Both rewards of each text; a reference of NaN leaves it out
 * @param names What the axes are called, and the distance between the two
 */
export function againstReferencePlot(
  points: { readonly learned: ArrayLike<number>; readonly reference: ArrayLike<number> },
  names: { readonly learned: string; readonly reference: string; readonly starc: number },
): Promise<string> {
  const rows = Array.from(points.learned, (_, row) => row)
    .filter((row) => !Number.isNaN(points.reference[row]!));
  const every = Math.ceil(rows.length / POINTS);
  return draw(
    "Learned against reference reward",
    `${rows.length} held-out texts${every > 1 ? `, one in ${every} drawn` : ""}; ` +
      `STARC ${names.starc.toFixed(3)} (0 the same, 0.71 unrelated, 1 opposite)`,
    {
      legend: { show: false },
      grid: { left: 70, right: 30, top: 72, bottom: 58 },
      xAxis: axis(`reference: ${names.reference}`, { scale: true }),
      yAxis: verticalAxis(`learned: ${names.learned}`, { scale: true }),
      series: [{
        type: "scatter",
        symbolSize: 5,
        itemStyle: { color: INK, opacity: 0.25 },
        data: rows.filter((_, at) => at % every === 0)
          .map((row) => [rounded(points.reference[row]!), rounded(points.learned[row]!)]),
      }],
    },
  );
}

/** More digits than a pixel has only make the file larger. */
function rounded(value: number): number {
  return Math.round(value * 10000) / 10000;
}
