/** `fairl pairs make`: preference pairs out of two language models. */
import { z } from "zod";
import { FairlError, messageOf, sha256, writeFileAtomic } from "../base/mod.ts";
import { DEFAULT_PAIR_SAMPLING, type SampledPair, samplePairs } from "../rlhf/mod.ts";
import { Runtime } from "../runtime/mod.ts";
import { kindsOf } from "./model_pairs.ts";
import { openModel, promptsOf } from "./models.ts";
import { checked, countFlag, deviceFlag, interruptible, positiveFlag } from "./options.ts";
import { DEFAULT_ENCODER, refuseUnknownReward, withScorer } from "./reference.ts";
import { note, print, terminalProgress } from "./terminal.ts";

const schema = z.object({
  device: deviceFlag,
  base: z.string().min(1),
  aligned: z.string().min(1),
  prompts: z.string().min(1).optional(),
  reference: z.string().min(1),
  out: z.string().min(1),
  perPrompt: countFlag.pipe(z.number().min(1)),
  maxTokens: countFlag.pipe(z.number().min(1)),
  temperature: positiveFlag,
  minP: z.coerce.number().min(0).max(1),
  seed: countFlag,
  resume: z.boolean().default(false),
});

const state = z.object({
  fingerprint: z.string(),
  prompts: z.number().int().min(0),
  bytes: z.number().int().min(0),
});

/**
 * Runs the command. What is done lies beside the file as `OUT.part`, with `OUT.part.json` saying how far
 * it goes; the file itself appears when it is whole.
 */
export async function makePairs(values: unknown): Promise<void> {
  const flags = checked(schema, values);
  const { reference, perPrompt, maxTokens, temperature, minP, seed } = flags;
  if (reference !== "none") await refuseUnknownReward(reference);
  if (["column", "implicit"].includes(reference)) {
    throw new FairlError("cli.reward", `--reference: ${reference} says nothing of new texts`);
  }
  const [base, aligned] = [await openModel(flags.base), await openModel(flags.aligned)];
  const prompts = await promptsOf(flags.prompts);
  const settings = { ...DEFAULT_PAIR_SAMPLING, perPrompt, maxTokens, temperature, minP, seed };
  const progress = terminalProgress();
  await interruptible(async (signal) => {
    await using runtime = await Runtime.open(flags.device);
    note(`device: ${runtime.device}, ${runtime.detail} (${runtime.why})`);
    const fingerprint = sha256(
      JSON.stringify([base.hash, aligned.hash, prompts, settings, reference, runtime.device]),
    );
    const part = `${flags.out}.part`;
    const kept = flags.resume ? await keptOf(`${part}.json`, fingerprint) : undefined;
    using file = await openPart(part);
    await file.truncate(kept?.bytes ?? 0);
    await file.seek(0, Deno.SeekMode.End);
    let bytes = kept?.bytes ?? 0;
    let done = kept?.prompts ?? 0;
    const make = async (judge?: (texts: readonly string[]) => Promise<ArrayLike<number>>) => {
      const tools = { progress, from: done, signal, ...(judge ? { judge } : {}) };
      for await (const pairs of samplePairs(runtime, base, aligned, prompts, settings, tools)) {
        const text = new TextEncoder().encode(pairs.map(rowOf).join(""));
        for (let at = 0; at < text.length;) at += await file.write(text.subarray(at));
        await file.sync();
        bytes += text.length;
        done += pairs.length / perPrompt;
        await writeFileAtomic(
          `${part}.json`,
          JSON.stringify({ fingerprint, prompts: done, bytes }),
        );
      }
    };
    const context = {
      runtime,
      device: flags.device,
      encoder: DEFAULT_ENCODER,
      pairs: [],
    };
    if (reference === "none") await make();
    else await withScorer(reference, context, ({ score }) => make(score));
    await Deno.rename(part, flags.out);
    await Deno.remove(`${part}.json`);
  });
  const labels = (await Deno.readTextFile(flags.out)).trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  if (labels.every(({ label }) => label !== undefined)) {
    note(`kinds, base -> aligned, T is toxic (below 0): ${kindsOf(labels)}`);
  }
  print(`${flags.out}: ${labels.length} pairs`);
}

function rowOf(pair: SampledPair): string {
  const round = (value: number | undefined) =>
    value === undefined ? undefined : Number(value.toPrecision(6));
  return JSON.stringify({
    prompt: pair.prompt,
    chosen: pair.chosen,
    rejected: pair.rejected,
    chosen_reference: round(pair.chosenReference),
    rejected_reference: round(pair.rejectedReference),
    label: pair.label,
    chosen_implicit: round(pair.chosenImplicit),
    rejected_implicit: round(pair.rejectedImplicit),
  }) + "\n";
}

async function openPart(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { write: true, create: true });
  } catch (cause) {
    throw new FairlError("cli.out", `--out: ${messageOf(cause)}`, { cause });
  }
}

/** How far an earlier run of the same settings came. */
async function keptOf(path: string, fingerprint: string) {
  try {
    const kept = state.parse(JSON.parse(await Deno.readTextFile(path)));
    return kept.fingerprint === fingerprint ? kept : undefined;
  } catch {
    return undefined;
  }
}
