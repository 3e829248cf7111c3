/**
 * Re-RLHF: a fresh base model is aligned again with the ground truth, with what two models say of a text
 * (implicit), with rewards extracted by FA-IRL and by IRL as published, and with random ones. Toxicity under the
 * ground truth against epochs and against KL, three seeds each; every reward but the ground truth is
 * standardised over what the base writes and capped at half a deviation, and FA-IRL's once more without the cap.
 *
 *     deno run -P=bench bench/rlhf.ts [epochs] [seeds]
 */
import { join } from "@std/path";
import { Random } from "../src/base/mod.ts";
import { main } from "../src/cli.ts";
import { openModel, promptsOf, toxicity } from "../src/cli/models.ts";
import { defaultCache } from "../src/pairs/mod.ts";
import { alignmentPlot } from "../src/report/mod.ts";
import { TextReward } from "../src/reward/mod.ts";
import {
  align,
  DEFAULT_ALIGNMENT,
  type EpochLog,
  ImplicitReward,
  randomReward,
  type RewardFunction,
} from "../src/rlhf/mod.ts";
import { Runtime } from "../src/runtime/mod.ts";

const [epochs = 100, seeds = 3] = Deno.args.map(Number);
const RESULTS = join(import.meta.dirname!, "results", "rlhf");
const CAP = 0.5;
/** Policies are compared where they are equally far from the base, in nats a text. */
const KLS = [1, 2, 3];

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** Mean of a figure over the epochs whose KL is near a value; undefined where the run never is. */
function near(log: readonly EpochLog[], kl: number, of: (epoch: EpochLog) => number) {
  const close = log.filter((epoch) => Math.abs(epoch.kl - kl) < 0.25);
  return close.length > 0 ? close.reduce((sum, x) => sum + of(x), 0) / close.length : undefined;
}

function range(values: readonly (number | undefined)[], digits = 3): string {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return "-";
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return `${mean.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

const work = join(defaultCache()!, "bench-rlhf");
await using runtime = await Runtime.open("auto");
const model = await openModel("comments-base");
const aligned = await openModel("comments-aligned");
const { score: truth } = await toxicity();
// The pairs are from the first 1,500 prompts; these are others.
const prompts = new Random(0, "re-rlhf").shuffle((await promptsOf(undefined)).slice(1500));

await using open = new AsyncDisposableStack();
const artefact = async (method: string): Promise<RewardFunction> => {
  const out = join(work, method);
  const there = await Deno.stat(out).then(() => true, () => false);
  if (!there && await main(["train", "--method", method, "--out", out]) !== 0) Deno.exit(1);
  const reward = open.use(await TextReward.open(out, { device: runtime.device }));
  return async (texts) => (await reward.score(texts)).reward;
};
const implicit = open.use(ImplicitReward.open(runtime, model, aligned));
const rewards: Record<string, (seed: number) => RewardFunction> = {};
const [fa, irl] = [await artefact("fa-irl"), await artefact("irl")];
rewards["ground truth"] = () => truth;
rewards["implicit"] = () => (texts, asked) =>
  implicit.score(texts.map((text, at) => ({ prompt: asked[at]!, text })));
rewards["fa-irl"] = () => fa;
rewards["irl"] = () => irl;
rewards["random"] = (seed) => randomReward(seed);
rewards["fa-irl, no cap"] = () => fa;

const runs: Record<string, readonly EpochLog[]> = {};
const started = performance.now();
for (let seed = 0; seed < seeds; seed++) {
  for (const [name, reward] of Object.entries(rewards)) {
    const cap = name === "ground truth" ? {} : { cap: name.endsWith("no cap") ? 1e9 : CAP };
    const settings = {
      ...DEFAULT_ALIGNMENT,
      ...cap,
      epochs,
      seed,
      beta: 0.03,
      learningRate: 6e-4,
    };
    const folder = join(work, `${name} ${seed}`);
    const { log, stopped } = await align(runtime, model, reward(seed), prompts, settings, {
      judge: truth,
      folder,
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
  "toxic, last 10",
  "KL",
  "distinct-2",
  "words",
];
const table = [head, head.map(() => "---")];
for (const name of Object.keys(rewards)) {
  const own = Object.entries(runs).filter(([run]) => run.split("#")[0] === name).map(([, log]) =>
    log
  );
  const last = (of: (epoch: EpochLog) => number) =>
    own.map((log) =>
      log.slice(-10).reduce((sum, epoch) => sum + of(epoch) / Math.min(10, log.length), 0)
    );
  table.push([
    name,
    ...KLS.map((kl) => range(own.map((log) => near(log, kl, (epoch) => epoch.toxicity!)))),
    range(last((epoch) => epoch.toxicity!)),
    range(last((epoch) => epoch.kl), 2),
    range(last((epoch) => epoch.distinct2), 2),
    range(last((epoch) => epoch.words), 1),
  ]);
}
const first = runs["ground truth#0"]![0]!;
const text = `${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}

${epochs} epochs of 32 prompts and 4 texts each, ${seeds} seeds, mean (lowest-highest); the base: toxic ${
  first.toxicity!.toFixed(3)
}, distinct-2 ${first.distinct2.toFixed(2)}, words ${first.words.toFixed(1)}. ${runtime.device}, ${
  Math.round((performance.now() - started) / 1000)
} s.
`;
await Deno.writeTextFile(join(RESULTS, "table.md"), text);
print(text);
