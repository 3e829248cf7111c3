/** `fairl implicit`: what two models themselves say of texts, log p_aligned - log p_base. */
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { readRows } from "../pairs/mod.ts";
import { ImplicitReward, type PromptedText } from "../rlhf/mod.ts";
import { Runtime } from "../runtime/mod.ts";
import { formatOf, type Item, itemsOf, written } from "./items.ts";
import { openModel } from "./models.ts";
import { checked, deviceFlag, interruptible } from "./options.ts";
import { print, terminalProgress } from "./terminal.ts";

const schema = z.object({
  device: deviceFlag,
  base: z.string().min(1),
  aligned: z.string().min(1),
  column: z.string().min(1),
});

/**
 * Runs the command. Texts get a column `implicit`; rows with `chosen` and `rejected` get
 * `chosen_implicit` and `rejected_implicit`. A column `prompt` is what the texts answer.
 */
export async function implicit(file = "-", values: unknown): Promise<void> {
  const flags = checked(schema, values);
  const format = formatOf(file);
  const [base, aligned] = [await openModel(flags.base), await openModel(flags.aligned)];
  const rows = await rowsOf(file, flags.column);
  const texts = rows.flatMap(({ asked }) => Object.values(asked));
  await interruptible(async (signal) => {
    await using runtime = await Runtime.open(flags.device);
    await using reward = ImplicitReward.open(runtime, base, aligned);
    const rewards = await reward.score(texts, { progress: terminalProgress(), signal });
    let at = 0;
    const out = rows.map(({ values, asked }) => ({
      ...values,
      ...Object.fromEntries(
        Object.keys(asked).map((column) => [column, Number(rewards[at++]!.toFixed(4))]),
      ),
    }));
    print(written(out, format, true));
  });
}

interface AskedRow {
  readonly values: Record<string, unknown>;
  /** By the column that the answer goes to. */
  readonly asked: Readonly<Record<string, PromptedText>>;
}

async function rowsOf(file: string, column: string): Promise<AskedRow[]> {
  const format = formatOf(file);
  const rows: AskedRow[] = [];
  const prompted = ({ prompt }: Record<string, unknown>, text: unknown): PromptedText => ({
    prompt: typeof prompt === "string" ? prompt : "",
    text: String(text),
  });
  if (format === "lines") {
    for await (const { values, text } of itemsOf(file, format, column) as AsyncIterable<Item>) {
      rows.push({ values, asked: { implicit: prompted(values, text) } });
    }
  } else {
    for await (const { line, values } of readRows(file)) {
      const { chosen, rejected, [column]: text } = values;
      if (typeof chosen === "string" && typeof rejected === "string") {
        rows.push({
          values,
          asked: {
            chosen_implicit: prompted(values, chosen),
            rejected_implicit: prompted(values, rejected),
          },
        });
      } else if (typeof text === "string") {
        rows.push({ values, asked: { implicit: prompted(values, text) } });
      } else {
        throw new FairlError(
          "score.no-text",
          `${file}: line ${line} has neither chosen and rejected nor a text in "${column}"`,
        );
      }
    }
  }
  if (rows.length === 0) throw new FairlError("pairs.empty", `${file} has no text in it`);
  return rows;
}
