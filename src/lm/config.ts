/** The shape of a causal language model, as config.json of the Hugging Face hub describes it. */
import { z } from "zod";
import { FairlError, type Random } from "../base/mod.ts";
import { type HostTensor, sizeOf, tensor } from "../runtime/mod.ts";

/** Architectures that {@linkcode decoderStates} builds. */
export type DecoderFamily = "llama" | "gpt_neox";

/** What a decoder's graph depends on. */
export interface DecoderConfig {
  /** Llama (Touvron et al. 2023) or GPT-NeoX (Black et al. 2022; Pythia). */
  readonly family: DecoderFamily;
  /** Rows of the embedding. */
  readonly vocabulary: number;
  /** Features of a token's state. */
  readonly width: number;
  /** Blocks of attention and feed-forward. */
  readonly layers: number;
  /** Heads of the queries. */
  readonly heads: number;
  /** Heads of keys and values; fewer than `heads` where queries share them. */
  readonly keyValueHeads: number;
  /** Features of a head. */
  readonly headSize: number;
  /** Features inside the feed-forward part. */
  readonly feedWidth: number;
  /** Base of the rotary embedding's wave lengths. */
  readonly ropeTheta: number;
  /** Part of a head's features that is rotated. */
  readonly rotaryPart: number;
  /** Added to the variance in the norms. */
  readonly normEpsilon: number;
  /** Whether the embedding is also the output layer. */
  readonly tied: boolean;
  /** Whether attention and feed-forward read the same state (NeoX only). */
  readonly parallelResidual: boolean;
  /** Longest sequence that it was trained for, in tokens. */
  readonly context: number;
  /** Token that a text begins with. */
  readonly bos: number;
  /** Token that ends a text. */
  readonly eos: number;
}

/** Weights by the names that checkpoints on the hub have. */
export type DecoderWeights = Readonly<Record<string, HostTensor<"float32">>>;

const token = z.union([z.int(), z.array(z.int()).min(1)]).nullish();
const common = {
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  intermediate_size: z.int().positive(),
  max_position_embeddings: z.int().positive().default(2048),
  bos_token_id: token,
  eos_token_id: token,
  rope_scaling: z.null({ error: "scaled rotary embeddings are not supported" }).optional(),
  // Where newer files keep what older ones have one level up.
  rope_parameters: z.object({
    rope_type: z.literal("default").default("default"),
    rope_theta: z.number().positive().optional(),
    partial_rotary_factor: z.number().positive().max(1).optional(),
  }).nullish(),
};
const schema = z.discriminatedUnion("model_type", [
  z.object({
    ...common,
    model_type: z.literal("llama"),
    num_key_value_heads: z.int().positive().optional(),
    head_dim: z.int().positive().nullish(),
    rope_theta: z.number().positive().default(10_000),
    rms_norm_eps: z.number().positive().default(1e-6),
    tie_word_embeddings: z.boolean().default(false),
    hidden_act: z.literal("silu").default("silu"),
    attention_bias: z.literal(false).default(false),
    mlp_bias: z.literal(false).default(false),
  }),
  z.object({
    ...common,
    model_type: z.literal("gpt_neox"),
    rotary_pct: z.number().positive().max(1).default(0.25),
    rotary_emb_base: z.number().positive().default(10_000),
    layer_norm_eps: z.number().positive().default(1e-5),
    tie_word_embeddings: z.boolean().default(false),
    use_parallel_residual: z.boolean().default(true),
    hidden_act: z.literal("gelu").default("gelu"),
  }),
]);

/**
 * Reads the content of a config.json.
 *
 * @throws FairlError `lm.config` when it describes no decoder that this room can build
 */
export function parseConfig(json: unknown): DecoderConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new FairlError("lm.config", `config.json, ${issue!.path.join(".")}: ${issue!.message}`);
  }
  const { data } = parsed;
  const only = (id: z.infer<typeof token>) => Array.isArray(id) ? id[0]! : id ?? 0;
  const llama = data.model_type === "llama";
  const heads = data.num_attention_heads;
  const rope = data.rope_parameters;
  const config: DecoderConfig = {
    family: data.model_type,
    vocabulary: data.vocab_size,
    width: data.hidden_size,
    layers: data.num_hidden_layers,
    heads,
    keyValueHeads: llama ? data.num_key_value_heads ?? heads : heads,
    headSize: (llama ? data.head_dim : undefined) ?? data.hidden_size / heads,
    feedWidth: data.intermediate_size,
    ropeTheta: rope?.rope_theta ?? (llama ? data.rope_theta : data.rotary_emb_base),
    rotaryPart: llama ? 1 : rope?.partial_rotary_factor ?? data.rotary_pct,
    normEpsilon: llama ? data.rms_norm_eps : data.layer_norm_eps,
    tied: data.tie_word_embeddings,
    parallelResidual: !llama && data.use_parallel_residual,
    context: data.max_position_embeddings,
    bos: only(data.bos_token_id),
    eos: only(data.eos_token_id),
  };
  if (!Number.isInteger(config.headSize) || config.heads % config.keyValueHeads !== 0) {
    throw new FairlError(
      "lm.config",
      `config.json: ${heads} heads of ${config.keyValueHeads} do not divide ${config.width}`,
    );
  }
  return config;
}

/** The config.json of a decoder, as other tools read it. */
export function configJson(config: DecoderConfig): Record<string, unknown> {
  const shared = {
    vocab_size: config.vocabulary,
    hidden_size: config.width,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    intermediate_size: config.feedWidth,
    max_position_embeddings: config.context,
    tie_word_embeddings: config.tied,
    bos_token_id: config.bos,
    eos_token_id: config.eos,
    torch_dtype: "float32",
  };
  return config.family === "llama"
    ? {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      ...shared,
      num_key_value_heads: config.keyValueHeads,
      head_dim: config.headSize,
      rope_theta: config.ropeTheta,
      rms_norm_eps: config.normEpsilon,
      hidden_act: "silu",
    }
    : {
      architectures: ["GPTNeoXForCausalLM"],
      model_type: "gpt_neox",
      ...shared,
      rotary_pct: config.rotaryPart,
      rotary_emb_base: config.ropeTheta,
      layer_norm_eps: config.normEpsilon,
      use_parallel_residual: config.parallelResidual,
      hidden_act: "gelu",
    };
}

/** Name and shape of each weight of a checkpoint; products are kept as `[out, in]`. */
export function weightShapes(config: DecoderConfig): Record<string, readonly number[]> {
  const { width, vocabulary, heads, keyValueHeads, headSize, feedWidth, layers } = config;
  const shapes: Record<string, readonly number[]> = {};
  const linear = (name: string, out: number, from: number) => {
    shapes[`${name}.weight`] = [out, from];
    if (config.family === "gpt_neox") shapes[`${name}.bias`] = [out];
  };
  const norm = (name: string) => {
    shapes[`${name}.weight`] = [width];
    if (config.family === "gpt_neox") shapes[`${name}.bias`] = [width];
  };
  if (config.family === "llama") {
    shapes["model.embed_tokens.weight"] = [vocabulary, width];
    for (let layer = 0; layer < layers; layer++) {
      const at = `model.layers.${layer}`;
      norm(`${at}.input_layernorm`);
      linear(`${at}.self_attn.q_proj`, heads * headSize, width);
      linear(`${at}.self_attn.k_proj`, keyValueHeads * headSize, width);
      linear(`${at}.self_attn.v_proj`, keyValueHeads * headSize, width);
      linear(`${at}.self_attn.o_proj`, width, heads * headSize);
      norm(`${at}.post_attention_layernorm`);
      linear(`${at}.mlp.gate_proj`, feedWidth, width);
      linear(`${at}.mlp.up_proj`, feedWidth, width);
      linear(`${at}.mlp.down_proj`, width, feedWidth);
    }
    norm("model.norm");
    if (!config.tied) shapes["lm_head.weight"] = [vocabulary, width];
    return shapes;
  }
  shapes["gpt_neox.embed_in.weight"] = [vocabulary, width];
  for (let layer = 0; layer < layers; layer++) {
    const at = `gpt_neox.layers.${layer}`;
    norm(`${at}.input_layernorm`);
    norm(`${at}.post_attention_layernorm`);
    linear(`${at}.attention.query_key_value`, 3 * width, width);
    linear(`${at}.attention.dense`, width, width);
    linear(`${at}.mlp.dense_h_to_4h`, feedWidth, width);
    linear(`${at}.mlp.dense_4h_to_h`, width, feedWidth);
  }
  norm("gpt_neox.final_layer_norm");
  if (!config.tied) shapes["embed_out.weight"] = [vocabulary, width];
  return shapes;
}

/** Whether a weight is a matrix inside a layer: what Muon moves and what LoRA adapts. */
export function isLayerMatrix(name: string, dims: readonly number[]): boolean {
  return dims.length === 2 && name.includes(".layers.");
}

/**
 * Fresh weights: normal with deviation 0.02, smaller by sqrt(2 layers) where a product is added to the
 * state (Radford et al. 2019, section 2.3), ones for the norms, zeros for biases.
 */
export function initialWeights(
  config: DecoderConfig,
  random: Random,
): Record<string, HostTensor<"float32">> {
  const added = /\.(o_proj|down_proj|dense|dense_4h_to_h)\.weight$/;
  return Object.fromEntries(
    Object.entries(weightShapes(config)).map(([name, dims]) => {
      const size = sizeOf(dims);
      const deviation = added.test(name) ? 0.02 / Math.sqrt(2 * config.layers) : 0.02;
      const data = dims.length === 2
        ? random.fork(name).normals(size, deviation)
        : new Float32Array(size).fill(name.endsWith(".bias") ? 0 : 1);
      return [name, tensor("float32", dims, data)];
    }),
  );
}

/**
 * Picks out the weights that a config names, and checks their shapes.
 *
 * @param read Gives a weight of the checkpoint, or undefined where it has none of that name
 * @throws FairlError `lm.weights` when one is missing or of another shape
 */
export async function readDecoderWeights(
  config: DecoderConfig,
  read: (name: string) => Promise<HostTensor<"float32"> | undefined>,
): Promise<Record<string, HostTensor<"float32">>> {
  const weights: Record<string, HostTensor<"float32">> = {};
  for (const [name, dims] of Object.entries(weightShapes(config))) {
    const found = await read(name);
    if (!found) throw new FairlError("lm.weights", `The checkpoint has no ${name}`);
    if (found.dims.join() !== dims.join()) {
      throw new FairlError(
        "lm.weights",
        `${name} is [${found.dims.join(", ")}], and config.json wants [${dims.join(", ")}]`,
      );
    }
    weights[name] = found;
  }
  return weights;
}
