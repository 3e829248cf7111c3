/** A Llama out of a GGUF file: shape, weights and tokenizer from what llama.cpp keeps in it. */
import { z } from "zod";
import { FairlError, sha256OfFile } from "../base/mod.ts";
import { type GgufFile, openGguf } from "../hub/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import { type DecoderConfig, parseConfig, readDecoderWeights } from "./config.ts";
import type { LanguageModel } from "./model_folder.ts";
import { openTokenizer, textStart } from "./tokenizer.ts";

const count = z.union([z.int(), z.bigint()]).pipe(z.coerce.number<bigint>().int().min(0));
const Shape = z.object({
  "llama.block_count": count,
  "llama.context_length": count,
  "llama.embedding_length": count,
  "llama.feed_forward_length": count,
  "llama.attention.head_count": count,
  "llama.attention.head_count_kv": count.optional(),
  "llama.attention.key_length": count.optional(),
  "llama.attention.layer_norm_rms_epsilon": z.number().positive(),
  "llama.rope.freq_base": z.number().positive().default(10_000),
  "llama.rope.dimension_count": count.optional(),
  "llama.rope.scaling.type": z.literal("none", {
    error: "scaled rotary embeddings are not supported",
  }).optional(),
  "llama.vocab_size": count.optional(),
});
const Tokens = z.object({
  "tokenizer.ggml.model": z.literal("gpt2", {
    error: "only byte-level BPE (gpt2) can be read; name the model's folder or hub name instead",
  }),
  "tokenizer.ggml.pre": z.enum(["gpt-2", "smollm"]),
  "tokenizer.ggml.tokens": z.array(z.string()),
  "tokenizer.ggml.token_type": z.array(z.int()).optional(),
  "tokenizer.ggml.merges": z.array(z.string()),
  "tokenizer.ggml.bos_token_id": count.default(0),
  "tokenizer.ggml.eos_token_id": count,
});
type Tokens = z.infer<typeof Tokens>;

/** llama.cpp's kinds of tokens that are found in a text whole, before it is cut into pieces. */
const [CONTROL, USER_DEFINED] = [3, 4];

/**
 * Reads a model from a GGUF file.
 *
 * @throws FairlError `hub.gguf` when it is no GGUF file or ends early, `lm.config` when it holds no Llama
 * that this room can build, `lm.weights` when a weight is missing, `lm.tokenizer` when its tokenizer is
 * not byte-level BPE
 */
export async function loadGguf(path: string): Promise<LanguageModel> {
  using file = await openGguf(path);
  const { metadata } = file;
  const told = parsed(Tokens, metadata, path, "lm.tokenizer");
  const json = tokenizerJson(told);
  const config = configOf(file, path, textStart(json, told["tokenizer.ggml.bos_token_id"]), told);
  const weights = await readDecoderWeights(config, (name) => read(file, config, name));
  const tokenizer = await openTokenizer(json);
  return { name: path, hash: await sha256OfFile(path), config, weights, tokenizer };
}

function parsed<T>(schema: z.ZodType<T>, metadata: unknown, path: string, code: string): T {
  const result = schema.safeParse(metadata);
  if (result.success) return result.data;
  const { path: [key], message } = result.error.issues[0]!;
  throw new FairlError(code, `${path}, ${String(key)}: ${message}`);
}

function configOf(
  { metadata, names }: GgufFile,
  path: string,
  bos: number,
  tokens: Tokens,
): DecoderConfig {
  const architecture = metadata["general.architecture"];
  if (architecture !== "llama") {
    throw new FairlError("lm.config", `${path} holds a ${architecture}; only llama can be read`);
  }
  const shape = parsed(Shape, metadata, path, "lm.config");
  const [width, heads] = [shape["llama.embedding_length"], shape["llama.attention.head_count"]];
  const headSize = shape["llama.attention.key_length"] ?? width / heads;
  const rotated = shape["llama.rope.dimension_count"] ?? headSize;
  // Llama 3.1 scales its wave lengths by a tensor.
  if (rotated !== headSize || names.includes("rope_freqs.weight")) {
    throw new FairlError("lm.config", `${path} has a rotary embedding that is not supported`);
  }
  return parseConfig({
    model_type: "llama",
    vocab_size: shape["llama.vocab_size"] ?? tokens["tokenizer.ggml.tokens"].length,
    hidden_size: width,
    num_hidden_layers: shape["llama.block_count"],
    num_attention_heads: heads,
    num_key_value_heads: shape["llama.attention.head_count_kv"] ?? heads,
    head_dim: headSize,
    intermediate_size: shape["llama.feed_forward_length"],
    max_position_embeddings: shape["llama.context_length"],
    rope_theta: shape["llama.rope.freq_base"],
    rms_norm_eps: shape["llama.attention.layer_norm_rms_epsilon"],
    tie_word_embeddings: !names.includes("output.weight"),
    bos_token_id: bos,
    eos_token_id: tokens["tokenizer.ggml.eos_token_id"],
  });
}

/** GGUF's names of what lies outside and inside a layer, by the checkpoint's. */
const OUTSIDE: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "token_embd.weight",
  "model.norm.weight": "output_norm.weight",
  "lm_head.weight": "output.weight",
};
const INSIDE: Readonly<Record<string, string>> = {
  "input_layernorm": "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "post_attention_layernorm": "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

async function read(
  file: GgufFile,
  { headSize }: DecoderConfig,
  name: string,
): Promise<HostTensor<"float32"> | undefined> {
  const inside = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name);
  const found = await file.read(
    inside ? `blk.${inside[1]}.${INSIDE[inside[2]!]}.weight` : OUTSIDE[name]!,
  );
  if (!found) return undefined;
  const { dims, data } = found;
  const turned = inside !== null && /[qk]_proj$/.test(inside[2]!);
  return tensor("float32", dims, turned ? inHalves(data, dims[1]!, headSize) : data);
}

/**
 * llama.cpp turns neighbouring features by one angle and lays the rows of a head out for it; checkpoints
 * on the hub turn a feature of the first half with one of the second.
 */
function inHalves(data: Float32Array, width: number, headSize: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(data.length);
  const half = headSize / 2;
  for (let row = 0; row < data.length / width; row++) {
    const within = row % headSize;
    const from = row - within + 2 * (within % half) + Math.floor(within / half);
    result.set(data.subarray(from * width, (from + 1) * width), row * width);
  }
  return result;
}

/** The content of a tokenizer.json for the same tokens. */
function tokenizerJson(told: Tokens): Record<string, unknown> {
  const tokens = told["tokenizer.ggml.tokens"];
  const kinds = told["tokenizer.ggml.token_type"] ?? [];
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const pieces = { ...byteLevel, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: tokens.flatMap((content, id) =>
      kinds[id] === CONTROL || kinds[id] === USER_DEFINED
        ? [{
          id,
          content,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: kinds[id] === CONTROL,
        }]
        : []
    ),
    normalizer: null,
    // SmolLM's splits numbers into digits before.
    pre_tokenizer: told["tokenizer.ggml.pre"] === "smollm"
      ? { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, pieces] }
      : pieces,
    post_processor: null,
    decoder: pieces,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: told["tokenizer.ggml.merges"].map((pair) => pair.split(" ")),
    },
  };
}
