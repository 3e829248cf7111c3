/** Plots are whole SVG documents with the same bytes each time; tables have a row for each reward. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Random } from "../../src/base/mod.ts";
import { Ranked } from "../../src/metrics/mod.ts";
import {
  againstReferencePlot,
  alignmentPlot,
  atKl,
  figuresTable,
  gapsPlot,
  reliabilityPlot,
  rocPlot,
  roundsPlot,
} from "../../src/report/mod.ts";
import { FIGURES, type Figures } from "../../src/reward/mod.ts";

const random = new Random(0, "plots");
const labels = Array.from({ length: 300 }, () => random.integer(2));
const scores = labels.map((label) => random.normal() + label);
const ranked = new Ranked(scores, labels);
/** Two runs of one reward that end after different epochs, and one of another. */
const epochs = (count: number, toxicity: number) =>
  Array.from({ length: count }, (_, epoch) => ({
    epoch,
    toxicity: toxicity / (1 + epoch),
    kl: 0.2 * epoch,
    distinct2: 0.9,
  }));
const probability = scores.map((score) => 1 / (1 + Math.exp(-score)));

/** Each plot by its title, with words that it has to show. */
const PLOTS: Record<string, { draw: () => Promise<string>; shows: string[] }> = {
  "Correction, round by round": {
    draw: () =>
      roundsPlot([1, 2, 3].flatMap((round) =>
        ["control", "fa-irl"].map((method) => ({
          method,
          round,
          loss: 1 / round,
          violations: 20 - round,
          nearTies: 5,
        }))
      )),
    shows: ["loss, control", "loss, fa-irl", "ranked wrong", "nearly tied"],
  },
  "Gaps of held-out pairs": {
    draw: () => gapsPlot({ irl: scores, "fa-irl": scores.map((score) => 2 * score) }),
    shows: ["irl", "fa-irl", "300 pairs"],
  },
  "ROC: telling texts that are not toxic from toxic ones": {
    draw: () => rocPlot({ irl: { points: ranked.rocCurve(), auc: ranked.rocAuc() } }, 300),
    shows: [`irl ${ranked.rocAuc().toFixed(3)}`, "300 held-out texts"],
  },
  "Reliability of the calibrated probability": {
    draw: () => reliabilityPlot({ irl: new Ranked(probability, labels).reliability(10) }),
    shows: ["irl", "observed share"],
  },
  "Learned against reference reward": {
    draw: () =>
      againstReferencePlot(
        { learned: scores, reference: scores.map((score, at) => at < 100 ? NaN : score) },
        { learned: "fa-irl", reference: "lexicon <a & b>", starc: 0.25 },
      ),
    shows: ["200 held-out texts", "STARC 0.250", "lexicon &lt;a &amp; b&gt;", "learned: fa-irl"],
  },
  "Alignment, epoch by epoch": {
    draw: () =>
      alignmentPlot({
        "irl#0": epochs(20, 0.4),
        "irl#1": epochs(12, 0.5),
        "fa-irl#0": epochs(9, 0.3),
      }),
    shows: [
      "3 runs",
      "bands from the lowest",
      "irl",
      "fa-irl",
      "share that is toxic",
      "distinct-2",
    ],
  },
};

for (const [title, { draw, shows }] of Object.entries(PLOTS)) {
  Deno.test(`"${title}" is one well-formed SVG document, the same bytes twice`, async () => {
    const svg = await draw();
    assertWellFormed(svg);
    for (const words of [title, ...shows]) assertStringIncludes(svg, `>${words}`.slice(1));
    assert(!/NaN|undefined|Infinity/.test(svg));
    assertEquals(await draw(), svg);
  });
}

/** Every tag is closed in its turn, attributes are quoted and once each, and text is escaped. */
function assertWellFormed(document: string): void {
  const svg = document.replaceAll(/<!\[CDATA\[.*?\]\]>/gs, "");
  const open: string[] = [];
  let end = 0;
  for (const tag of svg.matchAll(/<(\/?)([a-zA-Z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g)) {
    const between = svg.slice(end, tag.index);
    assert(!/<|&(?!(?:amp|lt|gt|quot|apos|#\d+);)/.test(between), between);
    if (open.length === 0) assertEquals(between.trim(), "", "nothing lies outside of the root");
    const [whole, closing, name, attributes, empty] = tag;
    const names = [...attributes!.matchAll(/([\w:-]+)="/g)].map((match) => match[1]);
    assertEquals(new Set(names).size, names.length, whole);
    if (end === 0) assert(name === "svg" && attributes!.includes('xmlns="'), whole);
    if (closing) assertEquals(open.pop(), name, whole);
    else if (!empty) open.push(name!);
    end = tag.index + whole.length;
  }
  assertEquals(open, []);
  assertEquals(svg.slice(end).trim(), "");
  assert(end > 0);
}

Deno.test("the table of figures has a row for each reward, and leaves empty what does not apply", () => {
  const interval = { value: 0.91234, low: 0.85, high: 1, n: 9 };
  const all = Object.fromEntries(FIGURES.map((figure) => [figure, interval])) as Figures;
  const lines = figuresTable({
    irl: all,
    "fa-irl": all,
    words: { ...all, starc: null, epic: null },
  })
    .split("\n");
  const cells = (line: string) => line.split("│").slice(1, -1).map((cell) => cell.trim());
  const row = (name: string) => cells(lines.find((line) => cells(line)[0] === name)!);
  assertEquals(
    row("reward").slice(1),
    ["pairs", "accuracy", "F1", "ROC-AUC", "STARC", "EPIC", "ECE", "Brier"],
  );
  for (const name of ["irl", "fa-irl"]) assertEquals(row(name).slice(1), Array(8).fill(".912"));
  assertEquals(row("words").slice(5, 7), ["", ""]);
  assertEquals(lines.filter((line) => line.includes(".850-1.000")).length, 3);
  assert(Math.max(...lines.map((line) => line.length)) <= 120);
});

Deno.test("a run's figure at a KL is that of its epochs there, and none where it never was", () => {
  const log = epochs(31, 0.4);
  assert(Math.abs(atKl(log, 3, ({ kl }) => kl) - 3) < 1e-6);
  assert(atKl(log, 1, ({ toxicity }) => toxicity) > atKl(log, 4, ({ toxicity }) => toxicity));
  assertEquals(atKl(log, 10, ({ kl }) => kl), NaN);
});
