/** Sentence encoders of the Hugging Face hub, or of a folder laid out like one, as text models. */
import { z } from "zod";
import { FairlError, messageOf, sha256 } from "../base/mod.ts";
import { type ModelFiles, readSafetensors } from "../hub/mod.ts";
import {
  type DeviceRequest,
  type HostTensor,
  Runtime,
  type Session,
  tensor,
} from "../runtime/mod.ts";
import { bertModel } from "./bert_graph.ts";
import type { TextModel } from "./model.ts";

import { pool, readPooling } from "./pooling.ts";

const Config = z.object({
  model_type: z.string(),
  hidden_size: z.number().int(),
  max_position_embeddings: z.number().int().default(512),
  num_attention_heads: z.number().int(),
  num_hidden_layers: z.number().int(),
  layer_norm_eps: z.number().default(1e-12),
  hidden_act: z.string().default("gelu"),
});
const Limit = z.object({ max_seq_length: z.number().int().nullish() });

/** Token states [texts * tokens, width] of texts of equal length. */
interface Network {
  readonly model: Uint8Array<ArrayBuffer>;
  readonly weightsHash: string;
  states(session: Session, ids: Int32Array<ArrayBuffer>, tokens: number): Promise<HostTensor>;
}

/**
 * Opens a model: `onnx/model.onnx` or `model.onnx` where it has one, else `model.safetensors` of a
 * BERT. Reads as many tokens as the model's own configuration says, and cuts off the rest.
 *
 * @throws FairlError `encode.missing` when a file it cannot do without is not there
 * @throws FairlError `encode.model` when a file is not what it should be
 */
export async function openHubModel(
  files: ModelFiles,
  device: DeviceRequest,
  threads?: number,
): Promise<TextModel> {
  const config = await parsed(files, "config.json", Config);
  const pooling = await readPooling(files);
  const { encode, tokenizerHash } = await openTokenizer(files, config.max_position_embeddings);
  const runtime = await Runtime.open(device, threads === undefined ? {} : { threads });
  try {
    const network = await readNetwork(files, config);
    const session = await runtime.session(network.model);
    const key = [network.weightsHash, tokenizerHash, JSON.stringify(pooling)].join();
    return {
      id: `${files.title}@${sha256(key).slice(0, 16)}:float32`,
      dimension: pooling.modes.length * config.hidden_size,
      device: runtime.device,
      batchTokens: runtime.software ? 64 : 512,
      tokenize: encode,
      async embed(ids, tokens) {
        const states = await network.states(session, ids, tokens);
        return pool(states.data as Float32Array, tokens, config.hidden_size, pooling);
      },
      [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
    };
  } catch (error) {
    await runtime[Symbol.asyncDispose]();
    throw error;
  }
}

async function readNetwork(files: ModelFiles, config: z.infer<typeof Config>): Promise<Network> {
  const onnx = await files.read("onnx/model.onnx") ?? await files.read("model.onnx");
  if (onnx) return { model: onnx, weightsHash: sha256(onnx), states: statesOfExport };
  const bytes = config.model_type === "bert" && await files.read("model.safetensors");
  if (!bytes) {
    throw new FairlError(
      "encode.missing",
      `${files.name} has neither onnx/model.onnx nor a BERT's model.safetensors`,
    );
  }
  if (config.hidden_act !== "gelu") {
    throw new FairlError("encode.model", `${files.name} uses ${config.hidden_act}, not gelu`);
  }
  return {
    model: bertModel(config, readSafetensors(bytes)),
    weightsHash: sha256(bytes),
    async states(session, ids, tokens) {
      const feeds = { ids: tensor("int32", [ids.length / tokens, tokens], ids) };
      return (await session.run(feeds)).hidden as HostTensor;
    },
  };
}

/** The usual inputs of an export, as far as it has them; its first output is the states. */
async function statesOfExport(
  session: Session,
  ids: Int32Array<ArrayBuffer>,
  tokens: number,
): Promise<HostTensor> {
  const dims = [ids.length / tokens, tokens];
  const filled = (value: (index: number) => number) =>
    tensor("int64", dims, BigInt64Array.from(ids, (_, index) => BigInt(value(index))));
  const known: Record<string, () => HostTensor> = {
    input_ids: () => filled((index) => ids[index]!),
    attention_mask: () => filled(() => 1),
    token_type_ids: () => filled(() => 0),
    position_ids: () => filled((index) => index % tokens),
  };
  const feeds = session.inputs.map((name) => {
    const make = known[name];
    if (!make) throw new FairlError("encode.model", `The model has an unknown input ${name}`);
    return [name, make()] as const;
  });
  const names = ["last_hidden_state", "token_embeddings"];
  const output = session.outputs.find((name) => names.includes(name)) ?? session.outputs[0]!;
  return (await session.run(Object.fromEntries(feeds), [output]))[output] as HostTensor;
}

/** The model's tokenizer, cutting a text's own tokens so that the special ones around them fit. */
async function openTokenizer(files: ModelFiles, positions: number) {
  const json = await parsed(files, "tokenizer.json", z.looseObject({}));
  const settings = await files.read("tokenizer_config.json")
    ? await parsed(files, "tokenizer_config.json", z.looseObject({}))
    : {};
  const limit = await files.read("sentence_bert_config.json")
    ? (await parsed(files, "sentence_bert_config.json", Limit)).max_seq_length
    : undefined;
  const most = Math.min(limit ?? positions, positions);
  const { Tokenizer } = await import("@huggingface/tokenizers");
  const tokenizer = new Tokenizer(json, settings);
  const plain = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;
  const probe = tokenizer.encode("a").ids;
  const body = plain("a");
  const before = probe.findIndex((_, at) => body.every((id, index) => probe[at + index] === id));
  const head = probe.slice(0, before);
  const tail = probe.slice(before + body.length);
  return {
    tokenizerHash: sha256(JSON.stringify([json, settings, most])),
    encode: (text: string) =>
      Int32Array.from([
        ...head,
        ...plain(text).slice(0, most - head.length - tail.length),
        ...tail,
      ]),
  };
}

async function parsed<T>(files: ModelFiles, path: string, schema: z.ZodType<T>): Promise<T> {
  const bytes = await files.read(path);
  if (!bytes) throw new FairlError("encode.missing", `${files.name} has no ${path}`);
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new FairlError(
      "encode.model",
      `${path} of ${files.name} is not what it should be: ${messageOf(error).split("\n")[0]}`,
      { cause: error },
    );
  }
}
