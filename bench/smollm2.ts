/**
 * SmolLM2-135M aligned again, by adapters, with a reward that was extracted from ParaDetox: 20 epochs over 64
 * beginnings of comments, through the commands themselves. What is in the working folder already is not made again.
 *
 *     FAIRL_SMOLLM2=SmolLM2-135M-Instruct.Q4_1.gguf deno task bench smollm2
 *     deno run --lock=test/deno.lock -P=bench bench/smollm2.ts MODEL [WORKING FOLDER]
 */
import { join } from "@std/path";
import { defaultCache } from "../src/pairs/mod.ts";
import { alignmentPlot } from "../src/report/mod.ts";
import type { EpochLog } from "../src/rlhf/mod.ts";

const [model = Deno.env.get("FAIRL_SMOLLM2"), work = join(defaultCache(), "bench-smollm2")] = Deno
  .args;
if (!model) throw new Error("Name the model's GGUF file, or set FAIRL_SMOLLM2");
const RESULTS = join(import.meta.dirname!, "results", "smollm2");
const ROOT = join(import.meta.dirname!, "..");

/** Prompts of models/prompts.json that are taken: pairs are sampled from the ones before. */
const PROMPTS = [1500, 1564] as const;
const SETTINGS = "--lora 8 --epochs 20 --batch 8 --group 4 --micro-batch 16 --learning-rate 5e-4 " +
  "--cap 0.5 --device native";

async function fairl(...args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--lock=test/deno.lock", "-P=fairl", "--quiet", "src/cli.ts", ...args],
    cwd: ROOT,
    stderr: "inherit",
  });
  const { code, stdout } = await command.output();
  if (code !== 0) Deno.exit(code);
  return new TextDecoder().decode(stdout);
}

async function unlessThere(path: string, make: () => Promise<void>): Promise<void> {
  if (!await Deno.stat(path).then(() => true, () => false)) await make();
}

await Deno.mkdir(work, { recursive: true });
const [prompts, reward, out, ran] = ["prompts.txt", "reward", "out", "run.json"]
  .map((name) => join(work, name)) as [string, string, string, string];
await unlessThere(prompts, async () => {
  const all: string[] = JSON.parse(await Deno.readTextFile(join(ROOT, "models", "prompts.json")));
  await Deno.writeTextFile(prompts, all.slice(...PROMPTS).join("\n"));
});
await unlessThere(reward, async () => {
  await fairl("train", "--pairs", "paradetox", "--device", "native", "--out", reward);
});
await unlessThere(ran, async () => {
  const named = ["--model", model, "--reward", reward, "--prompts", prompts, "--out", out];
  await Deno.writeTextFile(ran, await fairl("rlhf", ...named, ...SETTINGS.split(" "), "--json"));
});

const run: { device: string; stopped: string | null; seconds: number; peak_memory_mb: number } =
  JSON.parse(await Deno.readTextFile(ran));
const text = await Deno.readTextFile(join(out, "training.jsonl"));
const log = text.trim().split("\n").map((line) => JSON.parse(line) as EpochLog);
const mean = (rows: readonly EpochLog[], of: (row: EpochLog) => number) =>
  rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
const [first, last] = [log.slice(0, 3), log.slice(-3)];
const rows: [string, (row: EpochLog) => number][] = [
  ["reward, in deviations, capped at 0.5", (row) => row.reward!],
  ["KL to the base, nats a text", (row) => row.kl],
  ["entropy, nats a token", (row) => row.entropy],
  ["distinct-2", (row) => row.distinct2],
  ["words", (row) => row.words],
  ["share that repeats itself", (row) => row.repeated],
];
const table = [
  `| | epochs 0-2 | the last three of ${log.length} |`,
  "|---|---|---|",
  ...rows.map(([name, of]) =>
    `| ${name} | ${mean(first, of).toFixed(3)} | ${mean(last, of).toFixed(3)} |`
  ),
  "",
  `${run.device}, ${run.seconds} s, at most ${run.peak_memory_mb} MB of memory; ${
    run.stopped ? `stopped: ${run.stopped}` : "no collapse"
  }. The last epoch is after the last step.`,
  "",
  "```sh",
  "deno task fairl train --pairs paradetox --device native --out reward",
  `deno task fairl rlhf --model SmolLM2-135M-Instruct.Q4_1.gguf --reward reward --prompts prompts.txt ${SETTINGS}`,
  "```",
  "",
].join("\n");
await Deno.mkdir(RESULTS, { recursive: true });
await Deno.writeTextFile(join(RESULTS, "training.jsonl"), text);
// The reward and not the toxicity, of which this model writes next to none.
const rewards = log.map(({ toxicity: _, ...row }) => row);
await Deno.writeTextFile(join(RESULTS, "curves.svg"), await alignmentPlot({ rloo: rewards }));
await Deno.writeTextFile(join(RESULTS, "table.md"), table);
Deno.stdout.writeSync(new TextEncoder().encode(table));
