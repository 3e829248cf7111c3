/** `fairl pairs`: what is in a set of pairs, and how far its artefacts alone go. */
import Table from "cli-table3";
import { z } from "zod";
import {
  inspectPairs,
  inspectStream,
  loadPairs,
  NAMED_PAIRS,
  type PairsReport,
  type RowProblem,
} from "../pairs/mod.ts";
import { cacheFolder, checked, countFlag, interruptible } from "./options.ts";
import { print, terminalProgress } from "./terminal.ts";

const schema = z.object({
  json: z.boolean().default(false),
  seed: countFlag,
  onError: z.enum(["stop", "skip"]),
});

/** How many bad rows are told one by one. */
const TOLD = 20;

/** Runs the command. */
export async function pairs(source: string, values: unknown): Promise<void> {
  const { json, seed, onError } = checked(schema, values);
  const progress = terminalProgress();
  let problems = 0;
  const onProblem = ({ line, code, message }: RowProblem) => {
    if (problems++ < TOLD) progress.log(`line ${line}: ${code}: ${message}`);
  };
  const report = await interruptible(async (signal) => {
    const named = (NAMED_PAIRS as readonly string[]).includes(source);
    const options = { onError, onProblem, seed, cache: cacheFolder(), progress, signal };
    return named
      ? inspectPairs(await loadPairs(source, options), { seed })
      : await inspectStream(source, options);
  });
  if (problems > TOLD) progress.log(`and ${problems - TOLD} more bad rows`);
  print(json ? JSON.stringify(report) : described(report));
}

function described(report: PairsReport): string {
  const { counts, lengths, baselines } = report;
  const table = new Table({ style: { head: [], border: [] } });
  const row = (name: string, value: string | number) => table.push([name, String(value)]);
  row("rows read", counts.read);
  row("pairs kept", counts.kept);
  for (const [code, count] of Object.entries(counts.problems)) row(`left out, ${code}`, count);
  row("left out, repeated", counts.duplicates);
  row("left out, equal texts", counts.equalTexts);
  row("left out, an empty text", counts.emptyTexts);
  row("contradicted (a > b and b > a)", counts.conflicts);
  row("distinct texts", counts.texts);
  row("distinct prompts", counts.prompts);
  for (const [kind, count] of Object.entries(report.kinds)) {
    if (count > 0) row(kind === "unlabelled" ? kind : `kind ${kind}`, count);
  }
  for (const [group, count] of Object.entries(report.groups)) row(`group ${group}`, count);
  if (report.references.pairs > 0) {
    row("with references", `${report.references.pairs}, ${report.references.agreeing} agree`);
  }
  for (const side of ["chosen", "rejected"] as const) {
    const { mean, percentiles, max } = lengths[side];
    row(
      `characters, ${side}`,
      `mean ${mean.toFixed(1)}, 5/50/95 % ${percentiles.map(Math.round).join("/")}, most ${max}`,
    );
  }
  if (baselines) {
    for (const { name, pairAccuracy } of baselines.results) {
      row(`held-out pairs ranked right by ${name}`, pairAccuracy.toFixed(3));
    }
  }
  return `${report.name} (sha256 ${report.contentHash})\n${table}`;
}
