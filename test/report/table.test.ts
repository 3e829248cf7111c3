/** The table that a pipe gets. */
import { assert, assertEquals } from "@std/assert";
import { figuresTable } from "../../src/report/mod.ts";
import { FIGURES, type Figures } from "../../src/reward/mod.ts";

Deno.test("the plain table has one line for each reward, in columns, without rules or colours", () => {
  const interval = { value: 0.91234, low: 0.85, high: 1, n: 9 };
  const all = Object.fromEntries(FIGURES.map((figure) => [figure, interval])) as Figures;
  const unsure = { ...all, f1: { ...interval, low: NaN, high: NaN }, starc: null };
  const lines = figuresTable({ "irl-tuned": all, words: unsure }, { plain: true }).split("\n");
  assertEquals(lines.length, 3);
  assert(lines.every((line) => /^[ -~]+$/.test(line) && line === line.trimEnd()));
  const [head, tuned, words] = lines as [string, string, string];
  const at = (line: string, title: string) => line.slice(head.indexOf(title)).split(/ {2,}/)[0];
  assertEquals(at(tuned, "STARC"), ".912 .850-1.000");
  assertEquals(at(words, "STARC"), "", "STARC does not apply");
  assertEquals(at(words, "F1"), ".912", "no limits are known");
  assertEquals(at(words, "Brier"), ".912 .850-1.000");
});
