/** `fairl starc`: how far two rewards are from each other on the texts of pairs. */
import { z } from "zod";
import { loadPairs } from "../pairs/mod.ts";
import { judgedTexts } from "../reward/mod.ts";
import { Runtime } from "../runtime/mod.ts";
import { epicInterval, starcInterval } from "../starc/mod.ts";
import { cacheFolder, checked, countFlag, encodingFlags, interruptible } from "./options.ts";
import { DEFAULT_ENCODER, withScorer } from "./reference.ts";
import { print, terminalProgress } from "./terminal.ts";

const schema = z.object({
  ...encodingFlags,
  pairs: z.string().min(1),
  seed: countFlag,
  base: z.string().min(1),
  aligned: z.string().min(1),
});

/**
 * Runs the command.
 *
 * @param a `davidson`, `lexicon`, `toxicity`, `column`, `implicit` or the folder of an artefact
 * @param b The same
 */
export async function starcCommand(a: string, b: string, values: unknown): Promise<void> {
  const flags = checked(schema, values);
  await interruptible(async (signal) => {
    const { pairs } = await loadPairs(flags.pairs, {
      onError: "skip",
      seed: flags.seed,
      cache: cacheFolder(),
      progress: terminalProgress(),
      signal,
    });
    await using runtime = await Runtime.open(flags.device);
    const judged = judgedTexts(pairs);
    const context = {
      runtime,
      device: flags.device,
      encoder: flags.encoder ?? DEFAULT_ENCODER,
      pairs,
      models: flags,
    };
    const rewards: { name: string; values: Float32Array }[] = [];
    for (const name of [a, b]) {
      rewards.push(
        await withScorer(name, context, async (scorer) => ({
          name: scorer.name,
          values: await scorer.score(judged.texts),
        })),
      );
    }
    // A text that one of the two says nothing of is left out.
    const rows = [...judged.texts.keys()]
      .filter((row) => rewards.every(({ values }) => !Number.isNaN(values[row]!)));
    const pick = (from: ArrayLike<number>) => rows.map((row) => from[row]!);
    const [first, second] = rewards.map(({ values }) => pick(values)) as [number[], number[]];
    const options = {
      groups: pick(judged.prompts),
      clusters: pick(judged.clusters),
      seed: flags.seed,
    };
    const starc = starcInterval(first, second, options);
    const epic = epicInterval(first, second, { clusters: options.clusters, seed: flags.seed });
    const names = rewards.map(({ name }) => name);
    if (flags.json) {
      return print(JSON.stringify({ a: names[0], b: names[1], texts: rows.length, starc, epic }));
    }
    const line = (name: string, { value, low, high, n }: typeof starc) =>
      `${name} ${value.toFixed(4)} (95 %: ${low.toFixed(4)} to ${high.toFixed(4)}; ${n} clusters)`;
    print(`${names[0]}\n${names[1]}\non ${rows.length} texts of ${flags.pairs}`);
    print(`${line("STARC", starc)}\n${line("EPIC ", epic)}`);
    if (starc.dropped > 0) {
      print(`${starc.dropped} prompts have a single completion and say nothing`);
    }
    print("0 is the same reward, 0.71 an unrelated one, 1 the opposite");
  });
}
