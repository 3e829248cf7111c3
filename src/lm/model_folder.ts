/** A language model as a folder: config.json, tokenizer.json, model.safetensors, README.md. */
import { dirname, join } from "@std/path";
import { FairlError, messageOf, sha256, sha256OfFile, writeFolderAtomic } from "../base/mod.ts";
import {
  folderFiles,
  type ModelFiles,
  openShards,
  shardsOf,
  writeSafetensors,
} from "../hub/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import {
  configJson,
  type DecoderConfig,
  type DecoderWeights,
  parseConfig,
  readDecoderWeights,
} from "./config.ts";
import { openTokenizer, textStart, type TextTokenizer } from "./tokenizer.ts";

/** A language model in memory. */
export interface LanguageModel {
  /** What it is called in cards and messages. */
  readonly name: string;
  /** SHA-256 of its weights file in hexadecimal; of the hashes of its files where it has several. */
  readonly hash: string;
  /** Its shape. */
  readonly config: DecoderConfig;
  /** Its weights. */
  readonly weights: Readonly<Record<string, HostTensor<"float32">>>;
  /** Its tokenizer. */
  readonly tokenizer: TextTokenizer;
}

/**
 * Reads a model: model.safetensors, or the files that model.safetensors.index.json names, one tensor at a
 * time.
 *
 * @param from A folder laid out like a model on the Hugging Face hub, or the model's files there
 * @throws FairlError `lm.missing` when a file is not there, `hub.safetensors`, `lm.config`, `lm.weights`
 * or `lm.tokenizer` when one is not what it should be
 */
export async function loadModel(from: string | ModelFiles): Promise<LanguageModel> {
  const files = typeof from === "string" ? folderFiles(from) : from;
  const settings = parseConfig(await json(files, "config.json"));
  const words = await json(files, "tokenizer.json") as Record<string, unknown>;
  const config = { ...settings, bos: textStart(words, settings.bos) };
  const paths = await weightFiles(files);
  using checkpoint = await openShards(paths);
  const weights = await readDecoderWeights(config, async (name) => {
    const found = await checkpoint.read(name);
    return found && tensor("float32", found.dims, found.data);
  });
  const hashes = await Promise.all(paths.map(sha256OfFile));
  const hash = hashes.length === 1 ? hashes[0]! : sha256(hashes.join());
  return { name: files.name, hash, config, weights, tokenizer: await openTokenizer(words) };
}

/** Paths of the files that hold the weights. */
async function weightFiles(files: ModelFiles): Promise<string[]> {
  const whole = await files.locate("model.safetensors");
  if (whole !== undefined) return [whole];
  const index = await files.read("model.safetensors.index.json");
  if (!index) throw missing(files, "model.safetensors");
  const paths: string[] = [];
  for (const name of shardsOf(new TextDecoder().decode(index))) {
    const path = await files.locate(name);
    if (path === undefined) throw missing(files, name);
    paths.push(path);
  }
  return paths;
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

function missing(files: ModelFiles, name: string): FairlError {
  return new FairlError("lm.missing", `${files.name} has no ${name}: it is no language model`);
}

async function json(files: ModelFiles, name: string): Promise<unknown> {
  const file = await files.read(name);
  if (!file) throw missing(files, name);
  try {
    return JSON.parse(new TextDecoder().decode(file));
  } catch (cause) {
    throw new FairlError("lm.config", `${name} of ${files.name}: ${messageOf(cause)}`, { cause });
  }
}
