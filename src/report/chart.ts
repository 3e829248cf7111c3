/** What all plots share: ECharts on the server side, one look, and the same bytes each time. */

/** What ECharts takes; its own type is far larger than what is used here. */
export type Option = Record<string, unknown>;

/** Pixels of a plot. */
export interface Size {
  /** From left to right. */
  readonly width: number;
  /** From top to bottom. */
  readonly height: number;
}

/** Most plots. */
export const WIDE: Size = { width: 760, height: 440 };
/** Plots whose two axes are the same share from 0 to 1. */
export const SQUARE: Size = { width: 560, height: 590 };

export const INK = "#222222";
export const FAINT = "#777777";
const GRID = "#dddddd";

/** Colours that stay apart for colour-blind readers (Okabe and Ito). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** A reward looks the same in each plot; what knows nothing of meaning is dashed. */
const STYLES: Readonly<Record<string, { readonly color: string; readonly dashed?: true }>> = {
  "irl": { color: "#0072b2" },
  "irl-tuned": { color: "#56b4e9" },
  "control": { color: "#009e73" },
  "fa-irl": { color: "#d55e00" },
  "fa-irl, no cap": { color: "#cc79a7" },
  "distilled": { color: "#7b3294" },
  "implicit": { color: "#e69f00" },
  "ground truth": { color: INK },
  "random": { color: "#999999", dashed: true },
  "length": { color: "#999999", dashed: true },
  "words": { color: "#cc79a7", dashed: true },
};

/** Line and colour of a reward; the palette's next where it is none of the known ones. */
export function styleOf(
  reward: string,
): { readonly itemStyle?: Option; readonly lineStyle?: { color: string; type: string } } {
  const style = STYLES[reward];
  if (!style) return {};
  const { color, dashed } = style;
  return { itemStyle: { color }, lineStyle: { color, type: dashed ? "dashed" : "solid" } };
}

/**
 * Draws a plot.
 *
 * @param option What ECharts takes beyond titles and looks
 * @returns an SVG document
 */
export async function draw(
  title: string,
  subtitle: string,
  option: Option,
  { width, height }: Size = WIDE,
): Promise<string> {
  const echarts = await import("echarts");
  // ECharts has no fonts here and guesses narrow ones; legends then overlap in wider ones.
  echarts.setPlatformAPI({ measureText: (text, font) => ({ width: widthOf(text, font) }) });
  const chart = echarts.init(null as never, null, { renderer: "svg", ssr: true, width, height });
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
        subtextStyle: { fontSize: 12, color: FAINT },
      },
      grid: { left: 70, right: 30, top: 92, bottom: 58 },
      legend: legend(),
      ...option,
    } as never);
    return withStableNames(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** Width in pixels that a text needs in the widest of the usual sans-serif fonts. */
function widthOf(text: string, font = "12px sans-serif"): number {
  const size = Number(/(\d+(?:\.\d+)?)px/.exec(font)?.[1] ?? 12);
  return text.length * size * (font.includes("bold") ? 0.68 : 0.6);
}

/** ECharts numbers its ids over the life of the process; a file should not depend on that. */
function withStableNames(svg: string): string {
  const names = new Map<string, string>();
  return svg.replaceAll(/zr\d+-[\w-]*/g, (name) => {
    if (!names.has(name)) names.set(name, `e${names.size}`);
    return names.get(name)!;
  });
}

/** A legend of flat marks, over the plot where `more` says nothing else. */
export function legend(more: Option = {}): Option {
  return {
    top: 60,
    left: 64,
    icon: "rect",
    itemWidth: 16,
    itemHeight: 4,
    itemGap: 18,
    textStyle: { color: INK },
    ...more,
  };
}

/** A numeric axis with a title in its middle. */
export function axis(name: string, more: Option = {}): Option {
  return {
    type: "value",
    name,
    nameLocation: "middle",
    nameGap: 32,
    nameTextStyle: { color: INK },
    nameTruncate: { maxWidth: 640 },
    axisLabel: { color: INK, margin: 10 },
    axisLine: { show: true, onZero: false, lineStyle: { color: INK } },
    axisTick: { show: true, length: 4, alignWithLabel: true, lineStyle: { color: INK } },
    splitLine: { lineStyle: { color: GRID } },
    ...more,
  };
}

/** The same for a vertical one, whose labels are wider than they are high. */
export function verticalAxis(name: string, more: Option = {}): Option {
  return axis(name, { nameGap: 48, nameTruncate: { maxWidth: 320 }, ...more });
}

/** A dashed line across the plot. */
export function verticalLine(at: number): Option {
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

/** A dashed line from corner to corner. */
export function diagonal(): Option {
  return {
    type: "line",
    symbol: "none",
    lineStyle: { color: FAINT, type: "dotted" },
    data: [[0, 0], [1, 1]],
    silent: true,
  };
}
