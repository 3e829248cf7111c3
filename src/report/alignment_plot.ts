/** What alignments did, epoch by epoch and against how far they went. */
import { axis, draw, legend, type Option, styleOf, verticalAxis } from "./chart.ts";

/** Figures of an epoch, as rlhf/ logs them. */
export interface AlignmentPoint {
  /** From 0: the reference itself. */
  readonly epoch: number;
  /** Mean reward. */
  readonly reward?: number;
  /** Share of texts below 0 under the judge. */
  readonly toxicity?: number;
  /** KL to the reference in nats a text. */
  readonly kl: number;
  /** Distinct pairs of neighbouring words, as a share of all. */
  readonly distinct2: number;
}

/** A grid's place, in pixels. */
const CELL = { width: 290, height: 190 };
/** Deviation in nats of the weights that epochs have around a KL. */
const REACH = 0.35;
/** Width in nats between the points of a curve against KL. */
const KL_STEP = 0.25;

type Figure = (point: AlignmentPoint) => number;
type Curve = [x: number, y: number][];

/**
 * Toxicity (or, without a judge, the reward) against epochs and against KL, and KL and distinct-2 against
 * epochs. Several runs of one name, as `NAME#1`, are one line, their mean, in a band from the lowest to
 * the highest; a line ends with the first of its runs.
 *
 * @param runs Epochs by the name of the run
 */
export function alignmentPlot(
  runs: Readonly<Record<string, readonly AlignmentPoint[]>>,
): Promise<string> {
  const families = Map.groupBy(Object.entries(runs), ([run]) => run.split("#")[0]!);
  const judged = Object.values(runs).every((log) =>
    log.every(({ toxicity }) => toxicity !== undefined)
  );
  const first = judged ? "share that is toxic" : "mean reward";
  const goal: Figure = (point) => (judged ? point.toxicity : point.reward) ?? NaN;
  const panels: [x: string, y: string, curve: (log: readonly AlignmentPoint[]) => Curve][] = [
    ["epoch", first, (log) => overEpochs(log, goal)],
    ["KL to the base, nats a text", first, (log) => overKl(log, goal)],
    ["epoch", "KL, nats a text", (log) => overEpochs(log, ({ kl }) => kl)],
    ["epoch", "distinct-2", (log) => overEpochs(log, ({ distinct2 }) => distinct2)],
  ];
  // Lines alone would set the axes, and bands go beyond them.
  const highest = panels.map(([, , curve]) =>
    Math.max(...Object.values(runs).flatMap((log) => curve(log).map(([, y]) => y)))
  );
  const count = Object.keys(runs).length;
  const several = count > families.size;
  return draw(
    "Alignment, epoch by epoch",
    `${count} ${count === 1 ? "run" : "runs"}, each point the mean of up to five epochs around it` +
      (several ? "; bands from the lowest run to the highest" : ""),
    {
      legend: legend({ data: [...families.keys()], width: 640 }),
      grid: panels.map((_, at) => ({
        ...CELL,
        left: 70 + at % 2 * 370,
        top: 110 + Math.floor(at / 2) * 260,
      })),
      xAxis: panels.map(([name], gridIndex) => axis(name, { gridIndex })),
      yAxis: panels.map(([, name], gridIndex) =>
        verticalAxis(name, {
          gridIndex,
          ...(name === "mean reward" ? {} : { min: 0, max: topOf(highest[gridIndex]!) }),
        })
      ),
      series: [...families].flatMap(([name, own]) =>
        panels.flatMap(([, , curve], at) =>
          band(name, own.map(([, log]) => curve(log)), { xAxisIndex: at, yAxisIndex: at })
        )
      ),
    },
    { width: 760, height: 638 },
  );
}

/**
 * A figure of a run where it was a given KL from its reference: the mean over its epochs, each with a
 * weight that falls off as a normal density with deviation 0.35 nats. NaN where the run hardly was.
 */
export function atKl<P extends AlignmentPoint>(
  log: readonly P[],
  kl: number,
  of: (point: P) => number,
): number {
  let [sum, whole] = [0, 0];
  for (const point of log) {
    const weight = Math.exp(-0.5 * ((point.kl - kl) / REACH) ** 2);
    sum += weight * of(point);
    whole += weight;
  }
  return whole > 0.5 ? sum / whole : NaN;
}

/** Rounded up in its first digit. */
function topOf(value: number): number {
  const step = 10 ** Math.floor(Math.log10(Math.max(value, 0.01)));
  return Number((Math.ceil(value / step) * step).toPrecision(2));
}

/** Lowest to highest as an area, the mean as a line; for a single run the line alone. */
function band(name: string, curves: readonly Curve[], axes: Option): Option[] {
  const length = Math.min(...curves.map((curve) => curve.length));
  const places = Array.from({ length }, (_, at) => at);
  const x = (at: number) => curves[0]![at]![0];
  const values = (at: number) => curves.map((curve) => curve[at]![1]);
  const mean = (at: number) => values(at).reduce((sum, y) => sum + y, 0) / curves.length;
  const line: Option = {
    ...axes,
    name,
    type: "line",
    symbol: "none",
    z: 3,
    data: places.map((at) => rounded([x(at), mean(at)])),
    ...styled(name),
  };
  if (curves.length === 1) return [line];
  const edge = [
    ...places.map((at) => [x(at), Math.max(...values(at))] as const),
    ...places.toReversed().map((at) => [x(at), Math.min(...values(at))] as const),
  ];
  const area: Option = {
    ...axes,
    type: "custom",
    silent: true,
    data: edge.length > 0 ? [[x(0), mean(0)]] : [],
    renderItem: (_: unknown, api: { coord(point: readonly number[]): number[] }) => ({
      type: "polygon",
      shape: {
        points: edge.map((point) => api.coord(point).map((at) => Math.round(at * 10) / 10)),
      },
      style: { fill: styled(name).lineStyle.color, opacity: 0.18 },
    }),
  };
  return [area, line];
}

/** Lines that are not one of the known rewards: an algorithm's own, say. */
function styled(name: string): Option & { readonly lineStyle: { readonly color: string } } {
  const color = "#0072b2";
  return { itemStyle: { color }, lineStyle: { color }, ...styleOf(name) };
}

/** Mean over an epoch and its neighbours: a batch is small. */
function overEpochs(log: readonly AlignmentPoint[], of: Figure): Curve {
  return log.map(({ epoch }, at) => {
    // As many before as after, so that the ends stay where they are.
    const reach = Math.min(2, at, log.length - 1 - at);
    const near = log.slice(at - reach, at + reach + 1).map(of);
    return [epoch, near.reduce((sum, y) => sum + y, 0) / near.length];
  });
}

/** A figure against KL, from the reference on to where the run hardly was. */
function overKl(log: readonly AlignmentPoint[], of: Figure): Curve {
  const curve: Curve = log.length > 0 ? [[0, of(log[0]!)]] : [];
  for (let kl = 2 * KL_STEP;; kl += KL_STEP) {
    const value = atKl(log, kl, of);
    if (Number.isNaN(value)) return curve;
    curve.push([kl, value]);
  }
}

function rounded(values: readonly number[]): number[] {
  return values.map((value) => Math.round(value * 1e4) / 1e4);
}
