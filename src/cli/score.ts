/** `fairl score`: texts in, the same plus reward, probability and quantile out, as a stream. */
import { z } from "zod";
import { TextReward } from "../reward/mod.ts";
import { chunks, formatOf, itemsOf, written } from "./items.ts";
import { cacheFolder, checked, encodingFlags, interruptible } from "./options.ts";
import { print } from "./terminal.ts";

const schema = z.object({ ...encodingFlags, column: z.string().min(1) });

/**
 * Runs the command. The output has the input's form: JSONL and tables get three columns more, plain
 * lines become JSONL.
 */
export async function score(artefact: string, file = "-", values: unknown): Promise<void> {
  const flags = checked(schema, values);
  const format = formatOf(file);
  await interruptible(async (signal) => {
    await using reward = await TextReward.open(artefact, {
      device: flags.device,
      cache: cacheFolder(),
    });
    const scored: object[] = [];
    let first = true;
    for await (const items of chunks(itemsOf(file, format, flags.column))) {
      const scores = await reward.score(items.map(({ text }) => text), { signal });
      const rows = items.map((item, at) => ({
        ...item.values,
        reward: round(scores.reward[at]!),
        probability: round(scores.probability[at]!),
        quantile: round(scores.quantile[at]!),
      }));
      if (flags.json) scored.push(...rows);
      else print(written(rows, format, first));
      first = false;
    }
    if (flags.json) print(JSON.stringify(scored));
  });
}

function round(value: number): number {
  return Number(value.toPrecision(6));
}
