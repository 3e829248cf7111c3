/** Tables for a terminal or a pipe. */
import Table from "cli-table3";
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

/**
 * Figures with their intervals, a row for each reward.
 *
 * @param metrics Figures by the reward's name
 */
export function figuresTable(metrics: Readonly<Record<string, Figures>>): string {
  const table = new Table({
    head: ["reward", ...FIGURES.map((figure) => TITLES[figure])],
    style: { head: [], border: [], compact: true },
  });
  for (const [name, figures] of Object.entries(metrics)) {
    table.push([
      name,
      ...FIGURES.map((figure) => {
        const interval = figures[figure];
        if (!interval) return "";
        const { value, low, high } = interval;
        return `${short(value)}\n${short(low)}-${short(high)}`;
      }),
    ]);
  }
  return table.toString();
}

/** Three digits, without the zero before the point: eight columns have to fit. */
function short(value: number): string {
  return value.toFixed(3).replace(/^(-?)0\./, "$1.");
}
