/** What an alignment did, epoch by epoch and against how far it went. */
import { axis, draw, legend, styleOf, verticalAxis } from "./chart.ts";

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

/**
 * Toxicity (or, without a judge, the reward) against epochs and against KL, and KL and distinct-2 against
 * epochs.
 *
 * @param runs Epochs by the name of the run; several runs of one name, as `NAME#1`, look alike
 */
export function alignmentPlot(
  runs: Readonly<Record<string, readonly AlignmentPoint[]>>,
): Promise<string> {
  const names = [...new Set(Object.keys(runs).map(family))];
  const judged = Object.values(runs).every((log) =>
    log.every(({ toxicity }) => toxicity !== undefined)
  );
  const first = judged ? "share that is toxic" : "mean reward";
  const goal = (point: AlignmentPoint) => (judged ? point.toxicity : point.reward) ?? null;
  const panels: [x: string, y: string, (point: AlignmentPoint) => [number, number | null]][] = [
    ["epoch", first, (point) => [point.epoch, goal(point)]],
    ["KL to the base, nats a text", first, (point) => [point.kl, goal(point)]],
    ["epoch", "KL, nats a text", (point) => [point.epoch, point.kl]],
    ["epoch", "distinct-2", (point) => [point.epoch, point.distinct2]],
  ];
  return draw(
    "Alignment, epoch by epoch",
    `${Object.keys(runs).length} ${
      Object.keys(runs).length === 1 ? "run" : "runs"
    }; each point is the mean of up to five epochs around it`,
    {
      legend: legend({ data: names }),
      grid: panels.map((_, at) => ({
        ...CELL,
        left: 70 + at % 2 * 370,
        top: 92 + Math.floor(at / 2) * 260,
      })),
      xAxis: panels.map(([name], gridIndex) => axis(name, { gridIndex })),
      yAxis: panels.map(([, name], gridIndex) =>
        verticalAxis(name, { gridIndex, ...(name === "distinct-2" ? { min: 0, max: 1 } : {}) })
      ),
      series: Object.entries(runs).flatMap(([run, log]) =>
        panels.map(([, , of], at) => ({
          name: family(run),
          type: "line",
          symbol: "none",
          data: smoothed(log.map(of)),
          xAxisIndex: at,
          yAxisIndex: at,
          ...styled(family(run), names),
        }))
      ),
    },
    { width: 760, height: 620 },
  );
}

function family(run: string): string {
  return run.split("#")[0]!;
}

/** Colours beyond those of the known rewards; one run of one kind all the same in each panel. */
const MORE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

function styled(name: string, names: readonly string[]) {
  const known = styleOf(name);
  if (Object.keys(known).length > 0) return known;
  const color = MORE[names.indexOf(name) % MORE.length]!;
  return { itemStyle: { color }, lineStyle: { color } };
}

/** Mean over an epoch and its neighbours: a batch is small. */
function smoothed(points: readonly (readonly [number, number | null])[]): (number | null)[][] {
  const round = (value: number) => Math.round(value * 1e4) / 1e4;
  return points.map((_, at) => {
    // As many before as after, so that the ends stay where they are.
    const reach = Math.min(2, at, points.length - 1 - at);
    const near = points.slice(at - reach, at + reach + 1);
    return [0, 1].map((side) => {
      const values = near.map((point) => point[side]!).filter((value) => value !== null);
      return values.length > 0 ? round(values.reduce((a, b) => a + b, 0) / values.length) : null;
    });
  });
}
