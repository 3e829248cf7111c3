/** `fairl rlhf`: aligns a language model with a reward or with pairs. */
import { resourceUsage } from "node:process";
import { dirname, join } from "@std/path";
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { adapterFiles, type LanguageModel, saveModel } from "../lm/mod.ts";
import { loadPairs, type PreferencePair } from "../pairs/mod.ts";
import { alignmentPlot } from "../report/mod.ts";
import {
  ALGORITHMS,
  align,
  type Alignment,
  type AlignmentSettings,
  DEFAULT_ALIGNMENT,
  type EpochLog,
  httpReward,
  randomReward,
  type RewardFunction,
} from "../rlhf/mod.ts";
import { Runtime } from "../runtime/mod.ts";
import { openModel, promptsOf } from "./models.ts";
import {
  cacheFolder,
  checked,
  countFlag,
  encodingFlags,
  interruptible,
  positiveFlag,
} from "./options.ts";
import { refuseForeignFolder } from "./out.ts";
import { DEFAULT_ENCODER, refuseUnknownReward, withScorer } from "./reference.ts";
import { note, print, terminalProgress } from "./terminal.ts";

const atLeastOne = countFlag.pipe(z.number().min(1));
const schema = z.object({
  ...encodingFlags,
  model: z.string().min(1),
  reward: z.string().min(1),
  judge: z.string().min(1),
  pairs: z.string().min(1).optional(),
  prompts: z.string().min(1).optional(),
  algo: z.enum(ALGORITHMS),
  epochs: atLeastOne,
  batch: atLeastOne,
  group: countFlag.pipe(z.number().min(2)),
  microBatch: atLeastOne.optional(),
  maxTokens: atLeastOne,
  temperature: positiveFlag,
  learningRate: positiveFlag.optional(),
  beta: z.coerce.number().min(0),
  targetKl: positiveFlag.optional(),
  cap: z.coerce.number().optional(),
  lora: atLeastOne.optional(),
  seed: countFlag,
  out: z.string().min(1),
  checkpointEvery: atLeastOne,
  resume: z.boolean().default(false),
});
type Flags = z.infer<typeof schema>;

/** Step sizes that were measured for the models that ship. */
const FULL_RATE = 6e-4;
const LORA_RATE = 2e-3;

/** Runs the command. */
export async function rlhf(values: unknown): Promise<void> {
  const flags = checked(schema, values);
  await refuseForeignFolder(flags.out, "config.json", "model");
  for (const name of [flags.algo === "dpo" ? "none" : flags.reward, flags.judge]) {
    if (name !== "none" && !isOther(name)) await refuseUnknownReward(name);
  }
  const model = await openModel(flags.model);
  const pairs = flags.algo === "dpo" ? await pairsOf(flags) : undefined;
  const prompts = flags.prompts === undefined && pairs
    ? [...new Set(pairs.map(({ prompt }) => prompt))]
    : await promptsOf(flags.prompts);
  const settings = settingsOf(flags);
  const checkpoints = `${flags.out.replace(/[\\/]+$/, "")}.unfinished`;
  if (!flags.resume) await Deno.remove(checkpoints, { recursive: true }).catch(() => {});
  await interruptible(async (signal) => {
    await using runtime = await Runtime.open(flags.device);
    note(`device: ${runtime.device}, ${runtime.detail} (${runtime.why})`);
    const started = performance.now();
    const run = (goal: RewardFunction | readonly PreferencePair[], judge?: RewardFunction) =>
      align(runtime, model, goal, prompts, settings, {
        progress: terminalProgress(),
        signal,
        folder: checkpoints,
        every: flags.checkpointEvery,
        ...(judge ? { judge } : {}),
      });
    const judged = (goal: RewardFunction | readonly PreferencePair[]) =>
      withReward(flags.judge, flags, runtime, (judge) => run(goal, judge));
    const result = pairs
      ? await judged(pairs)
      : await withReward(flags.reward, flags, runtime, (reward) => judged(reward!));
    if (signal.aborted) throw signal.reason;
    await save(flags, model, settings, result);
    await Deno.remove(checkpoints, { recursive: true }).catch(() => {});
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    const [first, last] = [result.log[0]!, result.log.at(-1)!];
    if (flags.json) {
      return print(JSON.stringify({
        model: flags.out,
        device: runtime.device,
        first,
        last,
        stopped: result.stopped ?? null,
        seconds,
        peak_memory_mb: peakMemory(),
      }));
    }
    if (result.stopped) note(`stopped after epoch ${last.epoch}: ${result.stopped}`);
    print(summary(first, last));
    print(
      `${flags.algo} on ${runtime.device}: ${last.epoch} epochs in ${seconds} s, ` +
        `at most ${peakMemory()} MB of memory`,
    );
    print(
      `${flags.out}: model.safetensors, ${
        flags.lora ? "adapter/, " : ""
      }README.md, training.jsonl, plots/`,
    );
  });
}

function settingsOf(flags: Flags): AlignmentSettings {
  const { algo, epochs, batch, group, maxTokens, temperature, beta, seed } = flags;
  return {
    ...DEFAULT_ALIGNMENT,
    algorithm: algo,
    epochs,
    prompts: batch,
    group,
    maxTokens,
    temperature,
    beta,
    seed,
    learningRate: flags.learningRate ?? (flags.lora ? LORA_RATE : FULL_RATE),
    ...(flags.microBatch === undefined ? {} : { microBatch: flags.microBatch }),
    ...(flags.targetKl === undefined ? {} : { targetKl: flags.targetKl }),
    ...(flags.cap === undefined ? {} : { cap: flags.cap }),
    ...(flags.lora === undefined ? {} : { lora: { rank: flags.lora, seed } }),
  };
}

async function pairsOf(flags: Flags): Promise<readonly PreferencePair[]> {
  if (flags.microBatch !== undefined) {
    throw new FairlError("cli.flag", "--micro-batch: dpo takes its pairs whole; lower --batch");
  }
  if (flags.pairs === undefined) {
    throw new FairlError("cli.flag", "--pairs: dpo learns from pairs; name a source or a file");
  }
  const options = { seed: flags.seed, cache: cacheFolder(), onError: "skip" } as const;
  return (await loadPairs(flags.pairs, options)).pairs;
}

/** Rewards that only a policy is trained with. */
function isOther(name: string): boolean {
  return /^https?:\/\//.test(name) || /^random(:\d+)?$/.test(name);
}

/** Lends a reward by name to `work`; none for the name "none". */
async function withReward<T>(
  name: string,
  flags: Flags,
  runtime: Runtime,
  work: (reward?: RewardFunction) => Promise<T>,
): Promise<T> {
  if (name === "none") return await work();
  if (name.startsWith("http")) return await work(httpReward(name));
  if (isOther(name)) return await work(randomReward(Number(name.split(":")[1] ?? 0)));
  const context = {
    runtime,
    device: flags.device,
    encoder: flags.encoder ?? DEFAULT_ENCODER,
    pairs: [],
  };
  return await withScorer(name, context, ({ score }) => work(score));
}

async function save(
  flags: Flags,
  { config, tokenizer, name, hash }: LanguageModel,
  settings: AlignmentSettings,
  { weights, parameters, log, stopped }: Alignment,
): Promise<void> {
  const text = (value: string) => new TextEncoder().encode(value);
  const adapter = settings.lora ? adapterFiles(name, { parameters, settings: settings.lora }) : {};
  await saveModel(flags.out, {
    config,
    weights,
    tokenizer: tokenizer.json,
    card: card(flags, name, hash, settings, log, stopped),
    files: {
      "training.jsonl": text(log.map((line) => `${JSON.stringify(line)}\n`).join("")),
      "plots/curves.svg": text(await alignmentPlot({ [flags.algo]: log })),
      ...Object.fromEntries(
        Object.entries(adapter).map(([file, bytes]) => [join("adapter", file), bytes]),
      ),
    },
  });
}

function card(
  flags: Flags,
  base: string,
  hash: string,
  settings: AlignmentSettings,
  log: readonly EpochLog[],
  stopped: string | undefined,
): string {
  const goal = flags.algo === "dpo" ? `pairs of ${flags.pairs}` : `the reward ${flags.reward}`;
  return `---
library_name: transformers
pipeline_tag: text-generation
base_model: ${base}
---
# ${dirname(join(flags.out, "x")).split(/[\\/]/).at(-1)}

${base} (weights ${hash}) after ${log.at(-1)!.epoch} epochs of ${flags.algo} against ${goal}.
${stopped ? `It was stopped: ${stopped}.\n` : ""}
It writes what its base model writes, moved towards that goal; what the base can say that should not be said, it
may say too.

| | before | after |
|---|---|---|
${rowsOf(log[0]!, log.at(-1)!).map((row) => `| ${row.join(" | ")} |`).join("\n")}

\`training.jsonl\` has every epoch, \`plots/curves.svg\` shows them. Settings:

\`\`\`json
${JSON.stringify(settings, null, 2)}
\`\`\`
`;
}

function rowsOf(first: EpochLog, last: EpochLog): string[][] {
  const names: Partial<Record<keyof EpochLog, string>> = {
    reward: "mean reward",
    toxicity: "share below 0 under the judge",
    kl: "KL to the base, nats a text",
    entropy: "entropy, nats a token",
    distinct2: "distinct-2",
    words: "words written",
    nearlyEmpty: "share nearly empty",
    repeated: "share that repeats itself",
  };
  return (Object.keys(names) as (keyof EpochLog)[])
    .filter((key) => first[key] !== undefined)
    .map((key) => [names[key]!, shown(first[key]!), shown(last[key]!)]);
}

/** Three decimals; a KL that is 0 but for rounding has no sign. */
function shown(value: number): string {
  return value.toFixed(3).replace(/^-(0\.0+)$/, "$1");
}

function summary(first: EpochLog, last: EpochLog): string {
  return rowsOf(first, last)
    .map(([name, before, after]) => `${name!.padEnd(32)} ${before} to ${after}`).join("\n");
}

/** Largest resident memory of this process in megabytes. */
function peakMemory(): number {
  // In kilobytes, whatever the system counts in.
  return Math.round(resourceUsage().maxRSS / 1024);
}
