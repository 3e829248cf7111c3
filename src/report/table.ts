/** Tables for a terminal or a pipe. */
import Table from "cli-table3";
import type { Interval } from "../metrics/mod.ts";
import { type Figure, FIGURES, type Figures } from "../reward/mod.ts";

const TITLES: Record<Figure, string> = {
  pairAccuracy: "pairs",
  accuracy: "accuracy",
  f1: "F1",
  rocAuc: "ROC-AUC",
  starc: "STARC",
  epic: "EPIC",
  ece: "ECE",
  brier: "Brier",
};

/** How a table is written. */
export interface TableOptions {
  /** Without rules and with one line for each reward, as a pipe likes it. False by default. */
  readonly plain?: boolean;
}

/** cli-table3's names of the rules, all of them empty: columns are parted by two blanks. */
const NO_RULES = {
  ...{ "top": "", "top-mid": "", "top-left": "", "top-right": "" },
  ...{ "bottom": "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
  ...{ "left": "", "left-mid": "", "mid": "", "mid-mid": "", "right": "", "right-mid": "" },
  "middle": "  ",
};

/**
 * Figures with their 95 % intervals, a row for each reward. A figure that does not apply is left
 * empty, and so are limits that the bootstrap does not have.
 *
 * @param metrics Figures by the reward's name
 *
 * @example For a pipe
 * ```ts
 * import { assertMatch } from "@std/assert";
 * import { FIGURES, type Figures } from "../reward/mod.ts";
 * import { figuresTable } from "./table.ts";
 * const figure = { value: 0.9, low: 0.85, high: 0.95, n: 100 };
 * const irl = Object.fromEntries(FIGURES.map((name) => [name, figure])) as Figures;
 * const [head, row] = figuresTable({ irl }, { plain: true }).split("\n");
 * assertMatch(head!, /^reward +pairs +accuracy +F1 +ROC-AUC +STARC +EPIC +ECE +Brier$/);
 * assertMatch(row!, /^irl +\.900 \.850-\.950 /);
 * ```
 */
export function figuresTable(
  metrics: Readonly<Record<string, Figures>>,
  { plain = false }: TableOptions = {},
): string {
  const table = new Table({
    head: ["reward", ...FIGURES.map((figure) => TITLES[figure])],
    style: { head: [], border: [], compact: true, ...(plain ? PLAIN_STYLE : {}) },
    ...(plain ? { chars: NO_RULES } : {}),
  });
  for (const [name, figures] of Object.entries(metrics)) {
    // On a terminal the limits stand under their figure: eight columns have to fit.
    table.push([name, ...FIGURES.map((figure) => cell(figures[figure], plain ? " " : "\n"))]);
  }
  return table.toString().split("\n").map((line) => line.trimEnd()).join("\n");
}

const PLAIN_STYLE = { "padding-left": 0, "padding-right": 0 };

function cell(interval: Interval | null, between: string): string {
  if (!interval) return "";
  const { value, low, high } = interval;
  return Number.isNaN(low) ? short(value) : `${short(value)}${between}${short(low)}-${short(high)}`;
}

/** Three digits, without the zero before the point. */
function short(value: number): string {
  return value.toFixed(3).replace(/^(-?)0\./, "$1.");
}
