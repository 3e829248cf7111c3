/** The network of Universal Sentence Encoder lite as an ONNX graph over texts of equal length. */
import type { Range } from "./quantise.ts";
import {
  type Floats,
  type Linear,
  type Norm,
  scaleQueries,
  TransformerWriter,
} from "./transformer.ts";
import type { UseLiteFiles } from "./use_lite_files.ts";

/** Tokens that the model reads of a text; it cuts off what comes after them. */
export const USE_LITE_TOKENS = 128;
/** Length of an embedding. */
export const USE_LITE_DIMENSION = 512;

const HEADS = 4;
const EMBEDDING = 256;
const WIDTH = USE_LITE_DIMENSION;
const HIDDEN = 1536;

/**
 * What goes into each linear layer over tokens: the least and the largest value on ParaDetox and
 * Davidson (tools/use_lite_ranges.ts prints them). A fixed range, unlike one taken from each batch,
 * leaves a text's features the same whatever stands beside it.
 */
export const USE_LITE_RANGES: Readonly<Record<string, Range>> = {
  "widened": [-2.67, 2.47],
  "first/qkv": [-2.88, 2.43],
  "first/output": [-5.26, 4.84],
  "first/inner": [-3.71, 3.85],
  "first/outer": [0, 11.2],
  "second/qkv": [-3.21, 2.5],
  "second/output": [-4.97, 5.1],
  "second/inner": [-9.05, 7.84],
};

/**
 * The model with input `ids` [texts, tokens] int32 and output `embedding` [texts, 512].
 *
 * Three things are folded that the published graph computes: the doubled embedding, the query's
 * scale, and the mean over tokens, which is taken before the last linear layer over tokens instead
 * of after it. The mean of a linear map is the map of the mean, and a sixth of the arithmetic goes
 * away.
 *
 * @param ranges Layers to be computed in 8 bits: {@linkcode USE_LITE_RANGES} or none
 * @param watch Values of width given beside the embedding, one row for each token
 */
export function useLiteModel(
  files: UseLiteFiles,
  ranges: Readonly<Record<string, Range>> = {},
  watch: Readonly<Record<string, number>> = {},
): Uint8Array<ArrayBuffer> {
  const writer = new TransformerWriter(ranges);
  const weights = useLiteWeights(files);
  const input = writer.embed(weights.table, weights.positions, EMBEDDING);

  const layer = (name: "first" | "second", state: string, residual: string, width: number) => {
    const { norm, qkv, joined, innerNorm, inner, outer } = weights[name];
    const heads = writer.linear(`${name}/qkv`, writer.norm(`${name}/norm`, state, norm), qkv);
    const mixed = writer.attention(name, heads, HEADS, width);
    const output = writer.linear(`${name}/output`, mixed, joined);
    const attended = writer.node("Add", [output, residual], `${name}/attended`);
    const before = writer.norm(`${name}/inner-norm`, attended, innerNorm);
    const hidden = writer.node(
      "Relu",
      [writer.linear(`${name}/inner`, before, inner)],
      `${name}/hidden`,
    );
    return {
      attended,
      hidden,
      outer: (value: string) => writer.linear(`${name}/outer`, value, outer),
    };
  };

  const first = layer("first", input, writer.linear("widened", input, weights.widened), EMBEDDING);
  const between = writer.node("Add", [first.outer(first.hidden), first.attended], "between");
  const second = layer("second", between, between, WIDTH);
  const pooled = writer.node("Add", [
    second.outer(writer.mean(second.hidden, HIDDEN)),
    writer.mean(second.attended, WIDTH),
  ], "pooled");
  const squashed = writer.node("Tanh", [writer.linear("head", pooled, weights.head)], "squashed");
  writer.unit(squashed, "embedding");

  const watched = Object.entries(watch).map(([name, width]) => [name, ["rows", width]] as const);
  return writer.model("universal-sentence-encoder-lite", {
    embedding: ["texts", WIDTH],
    ...Object.fromEntries(watched),
  });
}

/**
 * What the published graph gives a text without tokens in a batch: its mean is taken as zero, so
 * that only the bias of the last layer is left.
 */
export function useLiteNothing(files: UseLiteFiles): Floats {
  const squashed = useLiteWeights(files).head.bias.map(Math.tanh);
  const length = Math.hypot(...squashed);
  return squashed.map((value) => value / length);
}

/** The published weights under short names. */
function useLiteWeights(files: UseLiteFiles) {
  const concat = (name: string) =>
    files.weight(`KonaTransformer/Encode/${name}/ConcatPartitions/concat`);
  const norm = (name: string): Norm => ({
    scale: concat(`${name}/layer_prepostprocess/layer_norm/layer_norm_scale`),
    bias: concat(`${name}/layer_prepostprocess/layer_norm/layer_norm_bias`),
    epsilon: 1e-6,
  });
  const layer = (name: string) => {
    const top = `${name}/TransformerLayer`;
    const attention = (part: string): Linear => ({
      kernel: files.weight(`${top}/MultiheadAttention/${part}/kernel/part_0`),
      bias: concat(`${top}/MultiheadAttention/${part}/bias`),
    });
    const feed = (part: string): Linear => ({
      kernel: files.weight(`TransformerStack/${top}/FFN/${part}/Tensordot/Reshape_1`),
      bias: concat(`${top}/FFN/${part}/bias`),
    });
    return {
      norm: norm(top),
      qkv: scaleQueries(attention("qkv_transform_single"), HEADS),
      joined: attention("output_transform_single"),
      innerNorm: norm(`${top}/FFN`),
      inner: feed("conv1"),
      outer: feed("conv2"),
    };
  };
  return {
    // The published graph adds the embedding to itself plus the timing signal.
    table: files.weight("Embeddings_en").map((value) => 2 * value),
    positions: timingSignal(files.weight("AddTimingSignal/TimingSignal/ExpandDims_1")),
    widened: {
      kernel: concat("Layer_0/TransformerLayer/dense/kernel"),
      bias: concat("Layer_0/TransformerLayer/dense/bias"),
    },
    first: layer("Layer_0"),
    second: layer("Layer_1"),
    head: {
      kernel: files.weight("hidden_layers/tanh_layer_0/weights"),
      bias: files.weight("hidden_layers/tanh_layer_0/bias"),
    },
  };
}

/** Sines, then cosines, of each position at each rate: [128, 256]. */
function timingSignal(rates: Floats): Floats {
  const signal = new Float32Array(USE_LITE_TOKENS * EMBEDDING);
  for (let position = 0; position < USE_LITE_TOKENS; position++) {
    rates.forEach((rate, index) => {
      const at = position * EMBEDDING + index;
      const angle = Math.fround(position * rate);
      signal[at] = Math.sin(angle);
      signal[at + rates.length] = Math.cos(angle);
    });
  }
  return signal;
}
