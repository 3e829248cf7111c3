/** A language model as a folder: config.json, tokenizer.json, model.safetensors, README.md. */
import { dirname, join } from "@std/path";
import { FairlError, messageOf, sha256, writeFolderAtomic } from "../base/mod.ts";
import { readSafetensors, writeSafetensors } from "../hub/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import {
  configJson,
  type DecoderConfig,
  type DecoderWeights,
  parseConfig,
  readDecoderWeights,
} from "./config.ts";
import { openTokenizer, type TextTokenizer } from "./tokenizer.ts";

/** A language model in memory. */
export interface LanguageModel {
  /** What it is called in cards and messages. */
  readonly name: string;
  /** SHA-256 of its weights file, in hexadecimal. */
  readonly hash: string;
  /** Its shape. */
  readonly config: DecoderConfig;
  /** Its weights. */
  readonly weights: Readonly<Record<string, HostTensor<"float32">>>;
  /** Its tokenizer. */
  readonly tokenizer: TextTokenizer;
}

/**
 * Reads a model.
 *
 * @param folder Laid out like a model on the Hugging Face hub
 * @throws FairlError `lm.missing` when a file is not there, `lm.config`, `lm.weights` or
 * `lm.tokenizer` when one is not what it should be
 */
export async function loadModel(folder: string): Promise<LanguageModel> {
  const config = parseConfig(await json(folder, "config.json"));
  const file = await bytes(folder, "model.safetensors");
  const tensors = readSafetensors(file);
  const weights = await readDecoderWeights(config, (name) => {
    const found = tensors.get(name);
    return Promise.resolve(found && tensor("float32", found.dims, found.data));
  });
  const tokenizer = await openTokenizer(
    await json(folder, "tokenizer.json") as Record<string, unknown>,
  );
  return { name: folder, hash: sha256(file), config, weights, tokenizer };
}

/** What is written of a model. */
export interface SavedModel {
  /** Its shape. */
  readonly config: DecoderConfig;
  /** Its weights. */
  readonly weights: DecoderWeights;
  /** Content of its tokenizer.json. */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** Its model card. */
  readonly card: string;
  /** What else lies in the folder, by path. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
}

/** Writes a model, whole or not at all; the folder is replaced. */
export async function saveModel(
  folder: string,
  { config, weights, tokenizer, card, files = {} }: SavedModel,
  dtype: "F32" | "F16" = "F32",
): Promise<void> {
  const kept = dtype === "F16" ? "float16" : "float32";
  await writeFolderAtomic(folder, async (into) => {
    const write = (name: string, data: string) => Deno.writeTextFile(join(into, name), data);
    const described = { ...configJson(config), torch_dtype: kept };
    await write("config.json", `${JSON.stringify(described, null, 2)}\n`);
    await write("tokenizer.json", `${JSON.stringify(tokenizer)}\n`);
    await write("README.md", card);
    await Deno.writeFile(join(into, "model.safetensors"), writeSafetensors(weights, dtype));
    for (const [name, content] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(into, name)), { recursive: true });
      await Deno.writeFile(join(into, name), content);
    }
  });
}

async function bytes(folder: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(join(folder, name));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new FairlError("lm.missing", `${folder} has no ${name}: it is no language model`);
  }
}

async function json(folder: string, name: string): Promise<unknown> {
  const file = await bytes(folder, name);
  try {
    return JSON.parse(new TextDecoder().decode(file));
  } catch (cause) {
    throw new FairlError("lm.config", `${name} of ${folder}: ${messageOf(cause)}`, { cause });
  }
}
