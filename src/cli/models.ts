/** Language models, prompts and the known reward by the names that flags give. */
import { fromFileUrl } from "@std/path";
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { hubFiles, isHubName } from "../hub/mod.ts";
import { type LanguageModel, loadGguf, loadModel } from "../lm/mod.ts";
import { type TextScorer, toxicityReward } from "../reward/mod.ts";
import { formatOf, itemsOf } from "./items.ts";
import { cacheFolder } from "./options.ts";
import { terminalProgress } from "./terminal.ts";

/** Models that ship with the toolkit. */
const SHIPPED = ["comments-base", "comments-aligned"];

/** Where a shipped file lies. */
function shipped(name: string): string {
  return fromFileUrl(new URL(`../../models/${name}`, import.meta.url));
}

/** A GGUF file of a model on the hub: `owner/name/FILE.gguf`. */
const HUB_GGUF = /^([^/]+\/[^/]+)\/(.+\.gguf)$/;

/**
 * Opens a language model.
 *
 * @param name `comments-base`, `comments-aligned`, a folder, a .gguf file, `owner/name[@revision]` of the
 * Hugging Face hub, or a GGUF file of a model there, `owner/name/FILE.gguf`
 * @throws FairlError `cli.model` when there is none; `hub.download` or `hub.wrong-hash` when it cannot be
 * fetched; as {@linkcode loadModel} and {@linkcode loadGguf} do
 */
export async function openModel(name: string): Promise<LanguageModel> {
  if (SHIPPED.includes(name)) return { ...await loadModel(shipped(name)), name };
  const there = await Deno.stat(name).catch(() => undefined);
  if (there?.isDirectory) return await loadModel(name);
  if (there?.isFile && name.endsWith(".gguf")) return await loadGguf(name);
  const places = {
    mirror: Deno.env.get("FAIRL_MIRROR"),
    cache: cacheFolder(),
    progress: terminalProgress(),
  };
  if (!there && isHubName(name)) return await loadModel(await hubFiles(name, places));
  const [, model, path] = HUB_GGUF.exec(name) ?? [];
  if (!there && model && isHubName(model)) {
    const file = await (await hubFiles(model, places)).locate(path!);
    if (file !== undefined) return { ...await loadGguf(file), name };
  }
  throw new FairlError(
    "cli.model",
    `${name} is no language model: name ${
      SHIPPED.join(", ")
    }, a folder, a .gguf file or one of the hub, as owner/name`,
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
