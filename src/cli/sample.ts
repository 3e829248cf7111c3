/** `fairl sample`: a language model continues prompts. */
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { Generator } from "../lm/mod.ts";
import { Runtime } from "../runtime/mod.ts";
import { openModel, promptsOf } from "./models.ts";
import { checked, countFlag, deviceFlag, interruptible, positiveFlag } from "./options.ts";
import { note, print } from "./terminal.ts";

const schema = z.object({
  device: deviceFlag,
  model: z.string().min(1),
  prompts: z.string().min(1).optional(),
  count: countFlag.pipe(z.number().min(1)),
  maxTokens: countFlag.pipe(z.number().min(1)),
  temperature: z.coerce.number().min(0),
  topK: countFlag.pipe(z.number().min(1)).optional(),
  topP: positiveFlag.pipe(z.number().max(1)).optional(),
  minP: z.coerce.number().min(0).max(1),
  stop: z.array(z.string().min(1)).default([]),
  seed: countFlag,
});

/** Prompts that are continued before their texts are printed. */
const CHUNK = 256;

/** Runs the command: a line of JSON for each text, in the order of the prompts. */
export async function sample(prompt: readonly string[], values: unknown): Promise<void> {
  const flags = checked(schema, values);
  const model = await openModel(flags.model);
  const { encode, decode } = model.tokenizer;
  const prompts = prompt.length > 0 ? [...prompt] : await promptsOf(flags.prompts);
  const asked = prompts.flatMap((text) => Array<string>(flags.count).fill(text));
  const { maxTokens, temperature, topK, topP, minP, stop, seed } = flags;
  const rows = asked.map((text) => Int32Array.of(model.config.bos, ...encode(text)));
  const longest = Math.max(...rows.map(({ length }) => length));
  if (longest + maxTokens > model.config.context) {
    throw new FairlError(
      "cli.context",
      `${longest} tokens of a prompt and ${maxTokens} new ones do not fit into ${model.config.context}`,
    );
  }
  await interruptible(async (signal) => {
    await using runtime = await Runtime.open(flags.device);
    note(`device: ${runtime.device}, ${runtime.detail} (${runtime.why})`);
    await using generator = await Generator.open(runtime, model.config, model.weights, {
      rows: Math.min(32, rows.length),
      capacity: longest + maxTokens,
    });
    for (let from = 0; from < rows.length; from += CHUNK) {
      const written = await generator.generate(
        rows.slice(from, from + CHUNK),
        {
          maxTokens,
          temperature,
          topK,
          topP,
          minP,
          // Each chunk has draws of its own, whatever comes before it.
          seed: seed + from,
          ...(stop.length > 0
            ? {
              stop: (tokens) => {
                const text = decode(tokens);
                return stop.some((mark) => text.includes(mark));
              },
            }
            : {}),
        },
        signal,
      );
      const lines = written.map(({ tokens, logProbabilities, reason }, at) =>
        JSON.stringify({
          prompt: asked[from + at]!,
          text: before(decode(tokens), stop),
          log_probability: Number(logProbabilities.reduce((a, b) => a + b, 0).toFixed(4)),
          tokens: tokens.length,
          reason,
        })
      );
      print(lines.join("\n"));
    }
  });
}

/** A text up to the first of some marks. */
function before(text: string, marks: readonly string[]): string {
  const ends = marks.map((mark) => text.indexOf(mark)).filter((at) => at >= 0);
  return ends.length > 0 ? text.slice(0, Math.min(...ends)) : text;
}
