/** Language models, prompts and the known reward by the names that flags give. */
import { fromFileUrl } from "@std/path";
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { type LanguageModel, loadModel } from "../lm/mod.ts";
import { type TextScorer, toxicityReward } from "../reward/mod.ts";
import { formatOf, itemsOf } from "./items.ts";

/** Models that ship with the toolkit. */
const SHIPPED = ["comments-base", "comments-aligned"];

/** Where a shipped file lies. */
function shipped(name: string): string {
  return fromFileUrl(new URL(`../../models/${name}`, import.meta.url));
}

/**
 * Opens a language model.
 *
 * @param name `comments-base`, `comments-aligned`, or a folder
 * @throws FairlError `cli.model` when there is none; as {@linkcode loadModel} does
 */
export async function openModel(name: string): Promise<LanguageModel> {
  if (SHIPPED.includes(name)) return { ...await loadModel(shipped(name)), name };
  if (await Deno.stat(name).then((stat) => stat.isDirectory, () => false)) {
    return await loadModel(name);
  }
  throw new FairlError(
    "cli.model",
    `${name} is no language model: name ${SHIPPED.join(", ")} or a folder`,
  );
}

/** The reward that comments-aligned was aligned with. */
export async function toxicity(): Promise<TextScorer> {
  return toxicityReward(JSON.parse(await Deno.readTextFile(shipped("toxicity.json"))));
}

/**
 * Prompts of a file: lines, or the column "prompt" of JSONL, CSV or TSV. Without a file those that
 * ship with the models.
 */
export async function promptsOf(file: string | undefined): Promise<string[]> {
  if (file === undefined) {
    const text = await Deno.readTextFile(shipped("prompts.json"));
    return z.array(z.string()).parse(JSON.parse(text));
  }
  const prompts: string[] = [];
  for await (const { text } of itemsOf(file, formatOf(file), "prompt")) prompts.push(text);
  if (prompts.length === 0) throw new FairlError("cli.prompts", `${file} has no prompt in it`);
  return prompts;
}
