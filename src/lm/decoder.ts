/** A causal decoder as a graph: Llama and GPT-NeoX, for training and for generation. */
import {
  add,
  concat,
  constant,
  equal,
  gather,
  gelu,
  gemm,
  layerNorm,
  logSumExp,
  matmul,
  mul,
  neg,
  reduceSum,
  reshape,
  rmsNorm,
  silu,
  slice,
  softmax,
  split,
  sub,
  transpose,
  type Value,
  where,
} from "../graph/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import type { DecoderConfig } from "./config.ts";

/** A low-rank addition to a weight (Hu et al. 2021): `W + scale B A`. */
export interface Adapter {
  /** A, `[rank, in]`. */
  readonly a: Value;
  /** B, `[out, rank]`. */
  readonly b: Value;
  /** alpha / rank. */
  readonly scale: number;
}

/** What the layers of a graph are made of. */
export interface DecoderParts {
  /** The decoder's shape. */
  readonly config: DecoderConfig;
  /** Its weights by the names of the checkpoint. */
  readonly weights: Readonly<Record<string, Value>>;
  /** Adapters by the names of the weights that they are added to. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
}

/** How a layer's tokens look at each other. */
export interface Sight {
  /** Rows of tokens. */
  readonly rows: number;
  /** New tokens in each row. */
  readonly length: number;
  /** Rotary cosines and sines, `[length, rotated features]`. */
  readonly cos: Value;
  /** See `cos`. */
  readonly sin: Value;
  /** Added to the scores: `[length, keys]` or `[rows, 1, length, keys]`, 0 or very negative. */
  readonly mask: Value;
  /**
   * From the new keys and values of a layer, `[rows, heads, length, size]`, to those that are looked
   * at: with a cache the ones before them too.
   */
  remember?(layer: number, keys: Value, values: Value): readonly [Value, Value];
}

/** Hidden by a mask. */
const HIDDEN = -1e9;

/**
 * States of whole rows of tokens, each seeing those before it, after the last norm.
 *
 * Rows are filled up at their ends: what follows a token does not change its state.
 *
 * @param tokens `[rows, length]`, int32
 * @param texts `[rows, length]`, int32: which text of its row a token belongs to, where rows hold
 * several that are not to see each other
 * @returns `[rows * length, width]`
 */
export function decoderStates(parts: DecoderParts, tokens: Value, texts?: Value): Value {
  const [rows, length] = tokens.dims as [number, number];
  const positions = Array.from({ length }, (_, at) => at);
  const { cos, sin } = rotation(parts.config, positions);
  return statesOf(parts, tokens, {
    rows,
    length,
    cos: constant(cos),
    sin: constant(sin),
    mask: texts ? textMask(texts) : constant(causalMask(length)),
  });
}

/**
 * States of new tokens under any sight.
 *
 * @param tokens `[rows, length]`, int32
 * @returns `[rows * length, width]`
 */
export function statesOf(parts: DecoderParts, tokens: Value, sight: Sight): Value {
  const { config } = parts;
  const llama = config.family === "llama";
  const embedding = parts.weights[embeddingName(config)]!;
  const count = sight.rows * sight.length;
  let x = gather(embedding, reshape(tokens, [count]));
  for (let layer = 0; layer < config.layers; layer++) {
    x = llama ? llamaLayer(parts, layer, x, sight) : neoxLayer(parts, layer, x, sight);
  }
  return norm(parts, llama ? "model.norm" : "gpt_neox.final_layer_norm", x);
}

/**
 * Scores of each token of the vocabulary.
 *
 * @param states `[n, width]`
 * @returns logits `[n, vocabulary]`
 */
export function decoderLogits({ config, weights }: DecoderParts, states: Value): Value {
  return gemm(states, weights[outputName(config)]!, { transB: true });
}

/**
 * log p(target | all before) of some tokens, from the states before them.
 *
 * @param states `[n, width]`
 * @param targets `[n]`, int32
 * @param options `temperature`: the logits are divided by it, 1 by default; `mayEnd`, `[n]`: 0 where
 * the text may not end yet, so that the other tokens share its end's probability
 * @returns `[n]`, in nats
 */
export function tokenLogProbabilities(
  parts: DecoderParts,
  states: Value,
  targets: Value,
  options: { readonly temperature?: number; readonly mayEnd?: Value } = {},
): Value {
  const { temperature = 1, mayEnd } = options;
  const scaled = temperature === 1 ? states : mul(states, 1 / temperature);
  // The target's own logit is a product with one row of the output layer: no row of the vocabulary's
  // size has to be picked from.
  const rows = gather(parts.weights[outputName(parts.config)]!, targets);
  const own = reduceSum(mul(scaled, rows), { axes: [-1] });
  const logits = decoderLogits(parts, scaled);
  if (!mayEnd) return sub(own, logSumExp(logits, { axes: [-1] }));
  const { vocabulary, eos } = parts.config;
  const end = new Float32Array(vocabulary);
  end[eos] = HIDDEN;
  const hidden = mul(
    sub(1, reshape(mayEnd, [-1, 1])),
    constant(tensor("float32", [1, vocabulary], end)),
  );
  return sub(own, logSumExp(add(logits, hidden), { axes: [-1] }));
}

/** Name of the embedding's weight. */
export function embeddingName({ family }: DecoderConfig): string {
  return family === "llama" ? "model.embed_tokens.weight" : "gpt_neox.embed_in.weight";
}

/** Name of the output layer's weight: the embedding's where they are one. */
export function outputName(config: DecoderConfig): string {
  if (config.tied) return embeddingName(config);
  return config.family === "llama" ? "lm_head.weight" : "embed_out.weight";
}

/**
 * Cosines and sines of the rotary embedding (Su et al. 2021, section 3.2.2), in halves as
 * checkpoints on the hub have it.
 *
 * @returns each `[positions, rotated features]`
 */
export function rotation(
  config: DecoderConfig,
  positions: readonly number[],
): { cos: HostTensor<"float32">; sin: HostTensor<"float32"> } {
  const size = rotatedSize(config);
  const of = (f: (angle: number) => number) =>
    tensor(
      "float32",
      [positions.length, size],
      Float32Array.from({ length: positions.length * size }, (_, at) => {
        const pair = at % size % (size / 2);
        return f(positions[Math.floor(at / size)]! * config.ropeTheta ** (-2 * pair / size));
      }),
    );
  return { cos: of(Math.cos), sin: of(Math.sin) };
}

/** Features of a head that are rotated. */
export function rotatedSize({ headSize, rotaryPart }: DecoderConfig): number {
  return Math.floor(headSize * rotaryPart / 2) * 2;
}

/** `[length, length]`: nobody sees what follows. */
function causalMask(length: number): HostTensor<"float32"> {
  const data = Float32Array.from(
    { length: length ** 2 },
    (_, at) => at % length > Math.floor(at / length) ? HIDDEN : 0,
  );
  return tensor("float32", [length, length], data);
}

/** `[rows, 1, length, length]`: nobody sees what follows, or another text. */
function textMask(texts: Value): Value {
  const [rows, length] = texts.dims as [number, number];
  const same = equal(
    reshape(texts, [rows, 1, length, 1]),
    reshape(texts, [rows, 1, 1, length]),
  );
  return where(same, constant(causalMask(length)), HIDDEN);
}

function llamaLayer(parts: DecoderParts, layer: number, x: Value, sight: Sight): Value {
  const at = `model.layers.${layer}`;
  const { heads, keyValueHeads, headSize } = parts.config;
  const seen = norm(parts, `${at}.input_layernorm`, x);
  const part = (name: string, count: number) =>
    headsOf(linear(parts, `${at}.self_attn.${name}`, seen), sight, count, headSize);
  const mixed = attention(
    parts.config,
    layer,
    part("q_proj", heads),
    part("k_proj", keyValueHeads),
    part("v_proj", keyValueHeads),
    sight,
  );
  const after = add(x, linear(parts, `${at}.self_attn.o_proj`, mixed));
  const inner = norm(parts, `${at}.post_attention_layernorm`, after);
  const gate = silu(linear(parts, `${at}.mlp.gate_proj`, inner));
  const up = linear(parts, `${at}.mlp.up_proj`, inner);
  return add(after, linear(parts, `${at}.mlp.down_proj`, mul(gate, up)));
}

function neoxLayer(parts: DecoderParts, layer: number, x: Value, sight: Sight): Value {
  const at = `gpt_neox.layers.${layer}`;
  const { heads, headSize, parallelResidual } = parts.config;
  const { rows, length } = sight;
  const whole = linear(
    parts,
    `${at}.attention.query_key_value`,
    norm(parts, `${at}.input_layernorm`, x),
  );
  // Query, key and value of a head lie side by side.
  const each = transpose(reshape(whole, [rows, length, heads, 3 * headSize]), [0, 2, 1, 3]);
  const [query, key, value] = split(each, [headSize, headSize, headSize], -1);
  const mixed = attention(parts.config, layer, query!, key!, value!, sight);
  const attended = linear(parts, `${at}.attention.dense`, mixed);
  const read = parallelResidual ? x : add(x, attended);
  const inner = norm(parts, `${at}.post_attention_layernorm`, read);
  const fed = linear(
    parts,
    `${at}.mlp.dense_4h_to_h`,
    gelu(linear(parts, `${at}.mlp.dense_h_to_4h`, inner)),
  );
  return parallelResidual ? add(add(x, attended), fed) : add(read, fed);
}

/** `[rows * length, heads * size]` as `[rows, heads, length, size]`. */
function headsOf(x: Value, { rows, length }: Sight, heads: number, size: number): Value {
  return transpose(reshape(x, [rows, length, heads, size]), [0, 2, 1, 3]);
}

/** Scaled dot-product attention; returns `[rows * length, heads * size]`. */
function attention(
  config: DecoderConfig,
  layer: number,
  query: Value,
  key: Value,
  value: Value,
  sight: Sight,
): Value {
  const { heads, keyValueHeads, headSize } = config;
  const { rows, length, remember } = sight;
  const q = mul(rotated(config, query, sight), headSize ** -0.5);
  const own = rotated(config, key, sight);
  const [keys, values] = remember ? remember(layer, own, value) : [own, value];
  const seen = keys.dims[2]!;
  // Queries that share keys are further rows of one product.
  const shared = heads / keyValueHeads;
  const grouped = reshape(q, [rows, keyValueHeads, shared * length, headSize]);
  const scores = reshape(matmul(grouped, transpose(keys)), [rows, heads, length, seen]);
  const weights = softmax(add(scores, sight.mask));
  const mixed = matmul(reshape(weights, [rows, keyValueHeads, shared * length, seen]), values);
  const apart = reshape(mixed, [rows, heads, length, headSize]);
  return reshape(transpose(apart, [0, 2, 1, 3]), [rows * length, heads * headSize]);
}

/** Turns the first features of each head by its token's position. */
function rotated(config: DecoderConfig, x: Value, { cos, sin }: Sight): Value {
  const size = rotatedSize(config);
  const turn = (part: Value) => {
    const [low, high] = split(part, [size / 2, size / 2], -1) as [Value, Value];
    return add(mul(part, cos), mul(concat([neg(high), low], -1), sin));
  };
  if (size === config.headSize) return turn(x);
  const axis = x.rank - 1;
  const rest = slice(x, [size], [config.headSize], [axis]);
  return concat([turn(slice(x, [0], [size], [axis])), rest], -1);
}

function norm({ config, weights }: DecoderParts, name: string, x: Value): Value {
  const scale = weights[`${name}.weight`]!;
  return config.family === "llama"
    ? rmsNorm(x, scale, config.normEpsilon)
    : layerNorm(x, scale, weights[`${name}.bias`]!, config.normEpsilon);
}

/** `x W^T + b`, with the weight's adapter where it has one. */
function linear({ weights, adapters }: DecoderParts, name: string, x: Value): Value {
  const weight = `${name}.weight`;
  const bias = weights[`${name}.bias`];
  let y = gemm(x, weights[weight]!, { transB: true });
  if (bias) y = add(y, bias);
  const adapter = adapters?.[weight];
  if (!adapter) return y;
  const low = gemm(x, adapter.a, { transB: true });
  return add(y, mul(gemm(low, adapter.b, { transB: true }), adapter.scale));
}
