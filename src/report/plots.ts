/** The artefact's plots, as SVG by ECharts on the server side: no browser, the same bytes each time. */
import { histogram, type ReliabilityBin, type RocPoint } from "../metrics/mod.ts";

/** What ECharts takes; its own type is far larger than what is used here. */
type Option = Record<string, unknown>;

const WIDTH = 760;
const HEIGHT = 440;
/** Colours that stay apart for colour-blind readers (Okabe and Ito). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const INK = "#222222";
const GRID = "#dddddd";

async function draw(title: string, subtitle: string, option: Option): Promise<string> {
  const echarts = await import("echarts");
  const chart = echarts.init(null as never, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: HEIGHT,
  });
  try {
    chart.setOption({
      animation: false,
      // A ground of its own, so that it reads the same on a light and a dark page.
      backgroundColor: "#ffffff",
      color: COLOURS,
      textStyle: { color: INK, fontFamily: "sans-serif" },
      title: {
        text: title,
        subtext: subtitle,
        left: 16,
        top: 10,
        textStyle: { fontSize: 16, color: INK },
        subtextStyle: { fontSize: 12, color: "#555555" },
      },
      grid: { left: 70, right: 30, top: 92, bottom: 58 },
      legend: { top: 58, left: 64, itemWidth: 18, itemGap: 24, textStyle: { color: INK } },
      ...option,
    } as never);
    return withStableNames(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** ECharts numbers its ids over the life of the process; a file should not depend on that. */
function withStableNames(svg: string): string {
  const names = new Map<string, string>();
  return svg.replaceAll(/zr\d+-[\w-]*/g, (name) => {
    if (!names.has(name)) names.set(name, `e${names.size}`);
    return names.get(name)!;
  });
}

function axis(name: string, more: Option = {}): Option {
  return {
    type: "value",
    name,
    nameLocation: "middle",
    nameGap: 34,
    nameTextStyle: { color: INK },
    axisLabel: { color: INK },
    axisLine: { show: true, onZero: false, lineStyle: { color: INK } },
    splitLine: { lineStyle: { color: GRID } },
    ...more,
  };
}

const vertical = (name: string, more: Option = {}) => axis(name, { nameGap: 46, ...more });

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

/** Loss of each round, and the failures that it began with. */
export function roundsPlot(rounds: readonly RoundPoint[]): Promise<string> {
  const methods = [...new Set(rounds.map(({ method }) => method))];
  const of = (method: string) => rounds.filter((round) => round.method === method);
  const kept = of("fa-irl").length > 0 ? of("fa-irl") : rounds;
  const labels = kept.map(({ round }) => String(round));
  const first = { gridIndex: 0, xAxisIndex: 0, yAxisIndex: 0 };
  return draw("Correction, round by round", "training pairs; failures are found anew each round", {
    grid: [
      { left: 70, width: 290, top: 92, bottom: 58 },
      { left: 440, width: 290, top: 92, bottom: 58 },
    ],
    xAxis: [0, 1].map((gridIndex) => ({
      ...axis("round"),
      type: "category",
      data: labels,
      gridIndex,
    })),
    yAxis: [
      vertical("loss", { gridIndex: 0, scale: true }),
      vertical("pairs", { gridIndex: 1 }),
    ],
    series: [
      ...methods.map((method) => ({
        name: `loss, ${method}`,
        type: "line",
        data: of(method).map(({ loss }) => loss),
        ...first,
      })),
      ...(["violations", "nearTies"] as const).map((kind) => ({
        name: kind === "violations" ? "ranked wrong" : "nearly tied",
        type: "bar",
        stack: "failures",
        data: kept.map((round) => round[kind]),
        xAxisIndex: 1,
        yAxisIndex: 1,
      })),
    ],
  });
}

/** Histograms of the gaps of test pairs under several rewards, over the same bins. */
export function gapsPlot(gaps: Readonly<Record<string, ArrayLike<number>>>): Promise<string> {
  const all = Object.values(gaps).flatMap((values) => Array.from(values)).sort((a, b) => a - b);
  // A handful of extreme gaps must not squeeze the rest into one bin.
  const low = all[Math.floor(all.length * 0.002)]!;
  const high = all[Math.ceil(all.length * 0.998) - 1]!;
  const bins = 60;
  const inside = (value: number) => Math.min(high, Math.max(low, value));
  const count = Object.values(gaps)[0]!.length;
  return draw(
    "Gaps of held-out pairs",
    `R(chosen) - R(rejected) in deviations of the training gaps; ${count} pairs; below 0 is wrong`,
    {
      xAxis: axis("gap", { min: low, max: high, axisLabel: { color: INK, formatter: twoDigits } }),
      yAxis: vertical("pairs"),
      series: [
        ...Object.entries(gaps).map(([name, values]) => {
          const { edges, counts } = histogram(Array.from(values, inside), { bins, low, high });
          const points = Array.from(counts, (n, bin) => [(edges[bin]! + edges[bin + 1]!) / 2, n]);
          return {
            name,
            type: "line",
            step: "middle",
            symbol: "none",
            areaStyle: { opacity: 0.15 },
            data: points,
          };
        }),
        verticalLine(0),
      ],
    },
  );
}

const twoDigits = (value: number) => String(Math.round(value * 100) / 100);

function verticalLine(at: number): Option {
  return {
    type: "line",
    data: [],
    markLine: {
      silent: true,
      symbol: "none",
      label: { show: false },
      lineStyle: { color: INK, type: "dashed" },
      data: [{ xAxis: at }],
    },
  };
}

function diagonal(from: number, to: number): Option {
  return {
    type: "line",
    symbol: "none",
    lineStyle: { color: "#888888", type: "dashed" },
    itemStyle: { color: "#888888" },
    data: [[from, from], [to, to]],
    silent: true,
  };
}

const unit = { min: 0, max: 1 };

/** ROC curves with their areas. */
export function rocPlot(
  curves: Readonly<Record<string, { readonly points: readonly RocPoint[]; readonly auc: number }>>,
  texts: number,
): Promise<string> {
  return draw("ROC: telling texts that are not toxic from toxic ones", `${texts} held-out texts`, {
    xAxis: axis("false positive rate", unit),
    yAxis: vertical("true positive rate", unit),
    series: [
      ...Object.entries(curves).map(([name, { points, auc }]) => ({
        name: `${name} ${auc.toFixed(3)}`,
        type: "line",
        symbol: "none",
        data: points.map(({ falsePositiveRate, truePositiveRate }) => [
          falsePositiveRate,
          truePositiveRate,
        ]),
      })),
      diagonal(0, 1),
    ],
  });
}

/** Observed against predicted shares of texts that are not toxic. */
export function reliabilityPlot(
  curves: Readonly<Record<string, readonly ReliabilityBin[]>>,
): Promise<string> {
  return draw(
    "Reliability of the calibrated probability",
    "bins of equally many held-out texts; on the line, a stated 80 % is right 80 % of the time",
    {
      xAxis: axis("predicted share that is not toxic", unit),
      yAxis: vertical("observed share", unit),
      series: [
        ...Object.entries(curves).map(([name, bins]) => ({
          name,
          type: "line",
          symbolSize: 7,
          data: bins.map(({ predicted, observed }) => [predicted, observed]),
        })),
        diagonal(0, 1),
      ],
    },
  );
}

/** At most this many points are drawn: more only make the file larger. */
const POINTS = 2500;

/** Learned against reference reward of texts. */
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
      xAxis: axis(`reference: ${names.reference}`, { scale: true }),
      yAxis: vertical(`learned: ${names.learned}`, { scale: true }),
      series: [{
        type: "scatter",
        symbolSize: 4,
        itemStyle: { opacity: 0.4 },
        data: rows.filter((_, at) => at % every === 0).map((
          row,
        ) => [round(points.reference[row]!), round(points.learned[row]!)]),
      }],
    },
  );
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
