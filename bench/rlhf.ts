/**
 * Re-RLHF: a fresh base model is aligned again with the ground truth, with what two models say of a text
 * (implicit), with rewards extracted by FA-IRL and by IRL as published, and with random ones. All are steered to
 * the same KL, so that they are compared where they went equally far. Every reward but the ground truth is
 * standardised over what the base writes and capped at half a deviation; FA-IRL's once more without cap and target.
 *
 *     deno task bench rlhf [epochs] [seeds]
 */
import { join } from "@std/path";
import { Random } from "../src/base/mod.ts";
import { main } from "../src/cli.ts";
import { openModel, promptsOf, toxicity } from "../src/cli/models.ts";
import { defaultCache } from "../src/pairs/mod.ts";
import { alignmentPlot, atKl } from "../src/report/mod.ts";
import { TextReward } from "../src/reward/mod.ts";
import {
  align,
  type AlignmentSettings,
  DEFAULT_ALIGNMENT,
  type EpochLog,
  ImplicitReward,
  randomReward,
  type RewardFunction,
} from "../src/rlhf/mod.ts";
import { Runtime } from "../src/runtime/mod.ts";

const [epochs = 100, seeds = 3] = Deno.args.map(Number);
const RESULTS = join(import.meta.dirname!, "results", "rlhf");
/** Prompts that the pairs are from; the policies meet the others. */
const PAIR_PROMPTS = 1500;
const CAP = 0.5;
const TARGET_KL = 3;
/** Where the policies are compared, in nats a text. */
const KLS = [1, 2, 3];
const FREE = "fa-irl, no cap";

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** Mean of runs, lowest and highest. */
function range(values: readonly number[], digits = 3): string {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length === 0) return "-";
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return `${mean.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

const work = join(defaultCache()!, "bench-rlhf");
await Deno.mkdir(work, { recursive: true });
await using runtime = await Runtime.open("auto");
const model = await openModel("comments-base");
const aligned = await openModel("comments-aligned");
const { score: truth } = await toxicity();
const all = await promptsOf(undefined);
const prompts = new Random(0, "re-rlhf").shuffle(all.slice(PAIR_PROMPTS));

const run = async (...args: string[]) => {
  if (await main(args) !== 0) Deno.exit(1);
};
const asked = join(work, "prompts.jsonl");
const pairs = join(work, "pairs.jsonl");
const lines = all.slice(0, PAIR_PROMPTS).map((prompt) => JSON.stringify({ prompt }));
await Deno.writeTextFile(asked, lines.join("\n") + "\n");
await run("pairs", "make", "--prompts", asked, "--out", pairs, "--per-prompt", "4");

await using open = new AsyncDisposableStack();
const extracted = async (method: string): Promise<RewardFunction> => {
  const out = join(work, method);
  await run("train", "--pairs", pairs, "--method", method, "--out", out);
  const reward = open.use(await TextReward.open(out, { device: runtime.device }));
  return async (texts) => (await reward.score(texts)).reward;
};
const implicit = open.use(ImplicitReward.open(runtime, model, aligned));
const [faIrl, irl] = [await extracted("fa-irl"), await extracted("irl")];
const rewards: Record<string, (seed: number) => RewardFunction> = {
  "ground truth": () => truth,
  "implicit": () => (texts, after) =>
    implicit.score(texts.map((text, at) => ({ prompt: after[at]!, text }))),
  "fa-irl": () => faIrl,
  "irl": () => irl,
  "random": (seed) => randomReward(seed),
  [FREE]: () => faIrl,
};

const runs: Record<string, readonly EpochLog[]> = {};
const started = performance.now();
for (let seed = 0; seed < seeds; seed++) {
  for (const [name, reward] of Object.entries(rewards)) {
    const settings: AlignmentSettings = {
      ...DEFAULT_ALIGNMENT,
      epochs,
      seed,
      learningRate: 6e-4,
      ...(name === FREE ? { beta: 0.03 } : { beta: 0.05, targetKl: TARGET_KL }),
      ...(name === "ground truth" ? {} : { cap: name === FREE ? Infinity : CAP }),
    };
    const { log, stopped } = await align(runtime, model, reward(seed), prompts, settings, {
      judge: truth,
    });
    runs[`${name}#${seed}`] = log;
    const last = log.at(-1)!;
    print(
      `${name}, seed ${seed}: epoch ${last.epoch}, toxic ${last.toxicity!.toFixed(3)}, KL ${
        last.kl.toFixed(2)
      }, distinct-2 ${last.distinct2.toFixed(2)}${stopped ? `, stopped: ${stopped}` : ""}`,
    );
  }
}

await Deno.mkdir(RESULTS, { recursive: true });
await Deno.writeTextFile(
  join(RESULTS, "epochs.jsonl"),
  Object.entries(runs).flatMap(([run, log]) =>
    log.map((epoch) => `${JSON.stringify({ run, ...epoch })}\n`)
  ).join(""),
);
await Deno.writeTextFile(join(RESULTS, "curves.svg"), await alignmentPlot(runs));
const head = [
  "reward",
  ...KLS.map((kl) => `toxic at KL ${kl}`),
  "toxic, last 30",
  "KL, last 30",
  "distinct-2",
  "words",
];
const table = [head, head.map(() => "---")];
for (const name of Object.keys(rewards)) {
  const own = Object.entries(runs).filter(([run]) => run.split("#")[0] === name)
    .map(([, log]) => log);
  const last = (of: (epoch: EpochLog) => number) =>
    own.map((log) => {
      const end = log.slice(-30);
      return end.reduce((sum, epoch) => sum + of(epoch) / end.length, 0);
    });
  table.push([
    name,
    ...KLS.map((kl) => range(own.map((log) => atKl(log, kl, (epoch) => epoch.toxicity!)))),
    range(last((epoch) => epoch.toxicity!)),
    range(last((epoch) => epoch.kl), 2),
    range(last((epoch) => epoch.distinct2), 2),
    range(last((epoch) => epoch.words), 1),
  ]);
}
const first = runs["ground truth#0"]![0]!;
const text = `# Re-RLHF, \`deno task bench rlhf\`

${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}

${epochs} epochs of 32 prompts and 4 texts each, ${seeds} seeds, mean (lowest-highest); steered to a KL of ${TARGET_KL} nats a text
but for "${FREE}". Toxic is below 0 under the ground truth; at a KL it is the mean over epochs around it (a normal
density with deviation 0.35). The base: toxic ${first.toxicity!.toFixed(3)}, distinct-2 ${
  first.distinct2.toFixed(2)
}, words ${first.words.toFixed(1)}. Rewards were extracted from 4 pairs for each of ${PAIR_PROMPTS}
prompts; the policies met the others. ${runtime.device}, ${
  Math.round((performance.now() - started) / 1000)
} s.
`;
await Deno.writeTextFile(join(RESULTS, "table.md"), text);
print(text);
