// deno-lint-ignore-file no-console -- a bench prints its table
/** A mixture of telling and idle pairs: the four rewards against the share of informative pairs. `deno task bench mixture` */
import { openEncoder } from "../src/encode/mod.ts";
import {
  defaultSettings,
  extract,
  type ExtractionSettings,
  type Method,
  METHODS,
} from "../src/irl/mod.ts";
import { rocAuc } from "../src/metrics/mod.ts";
import { loadMixture, splitPairs, textsOf } from "../src/pairs/mod.ts";
import { davidsonReference, evaluateHead } from "../src/reward/mod.ts";
import { type DeviceRequest, Runtime } from "../src/runtime/mod.ts";
import { starc } from "../src/starc/mod.ts";

/** What a cell of the table is the mean of. */
export interface Cell {
  readonly objective: "max-margin" | "max-entropy";
  readonly p: number;
  readonly seed: number;
  readonly auc: Record<Method, number>;
  readonly starc: Record<Method, number>;
  /** The same on the held-out tweets alone: what the reference has learned of. */
  readonly tweets: { readonly auc: Record<Method, number>; readonly starc: Record<Method, number> };
}

/** How the bench is run. */
export interface MixtureBench {
  readonly device: DeviceRequest;
  readonly seeds: readonly number[];
  readonly shares: readonly number[];
  readonly change?: (settings: ExtractionSettings) => ExtractionSettings;
}

/** Extracts and judges one mixture after the other. */
export async function runMixtures(
  { device, seeds, shares, change = (settings) => settings }: MixtureBench,
): Promise<Cell[]> {
  const cells: Cell[] = [];
  await using runtime = await Runtime.open(device);
  await using encoder = await openEncoder("use-lite", { device, cache: ".cache/bench" });
  for (const seed of seeds) {
    for (const p of shares) {
      const { pairs, heldOut } = await loadMixture({ seed, p });
      const { texts, chosen, rejected } = textsOf(pairs);
      const features = await encoder.encode(texts);
      const unseen = heldOut.texts.map(({ text }) => text);
      const unseenFeatures = await encoder.encode(unseen);
      const reference = await davidsonReference(runtime, encoder, {
        exclude: new Set([...texts, ...unseen]),
      });
      const truth = await reference.score(unseen);
      const labels = heldOut.texts.map(({ toxic }) => toxic ? 0 : 1);
      // The mixture has its own held-out texts: a tenth for validation and nothing for a test.
      const { train, validation } = splitPairs(pairs, { seed, validation: 0.15, test: 0 });
      for (const objective of ["max-margin", "max-entropy"] as const) {
        const { heads } = await extract(runtime, {
          features,
          dimension: encoder.dimension,
          chosen,
          rejected,
          prompts: new Int32Array(chosen.length),
          train,
          validation,
        }, change(defaultSettings(objective, seed)));
        const cell: Cell = {
          objective,
          p,
          seed,
          auc: {} as Record<Method, number>,
          starc: {} as Record<Method, number>,
          tweets: { auc: {} as Record<Method, number>, starc: {} as Record<Method, number> },
        };
        for (const method of METHODS) {
          const rewards = await evaluateHead(runtime, heads[method], unseenFeatures);
          cell.auc[method] = rocAuc(rewards, labels);
          cell.starc[method] = starc(rewards, truth);
          // The held-out texts are those of ParaDetox, then as many tweets.
          const half = rewards.length / 2;
          cell.tweets.auc[method] = rocAuc(rewards.subarray(half), labels.slice(half));
          cell.tweets.starc[method] = starc(rewards.subarray(half), truth.subarray(half));
        }
        cells.push(cell);
        console.error(JSON.stringify(cell));
      }
    }
  }
  return cells;
}

/** Prints the mean over seeds, AUC / STARC, and how often FA-IRL is nearer to the reference than IRL. */
export function printMixtures(cells: readonly Cell[], shares: readonly number[]): void {
  for (const objective of ["max-margin", "max-entropy"] as const) {
    printTable(objective, cells.filter((cell) => cell.objective === objective), shares);
    const tweets = cells.filter((cell) => cell.objective === objective)
      .map((cell) => ({ ...cell, ...cell.tweets }));
    printTable(`${objective}, held-out tweets alone`, tweets, shares);
  }
  const below = (method: Method) =>
    // With alpha = 0 FA-IRL is the tuned base but for rounding.
    cells.filter((cell) => cell.starc["fa-irl"] < cell.starc[method] - 1e-6).length;
  console.log(
    `\nFA-IRL's STARC is below that of IRL as published in ${below("irl")}, of IRL tuned in ` +
      `${below("irl-tuned")}, of the control in ${below("control")} of ${cells.length} cells`,
  );
}

function printTable(title: string, cells: readonly Cell[], shares: readonly number[]): void {
  const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
  console.log(`\n| ${title} | ${shares.map((p) => `p ${p}`).join(" | ")} |`);
  console.log(`|---|${shares.map(() => "---").join("|")}|`);
  for (const method of METHODS) {
    const figures = shares.map((p) => {
      const own = cells.filter((cell) => cell.p === p);
      return `${mean(own.map((cell) => cell.auc[method])).toFixed(3)}/` +
        mean(own.map((cell) => cell.starc[method])).toFixed(3);
    });
    console.log(`| ${method} | ${figures.join(" | ")} |`);
  }
}

if (import.meta.main) {
  const [device = "auto", seeds = "0,1,2,3,4"] = Deno.args;
  const shares = [0.25, 0.5, 1];
  const cells = await runMixtures({
    device: device as DeviceRequest,
    seeds: seeds.split(",").map(Number),
    shares,
  });
  printMixtures(cells, shares);
}
