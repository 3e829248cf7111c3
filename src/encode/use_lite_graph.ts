/** The transformer of Universal Sentence Encoder lite as an ONNX graph over texts of equal length. */
import { encodeModel } from "../graph/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import type { UseLiteFiles } from "./use_lite_files.ts";

type Floats = Float32Array<ArrayBuffer>;

/** Tokens that the model reads of a text; it cuts off what comes after them. */
export const USE_LITE_TOKENS = 128;
/** Length of an embedding. */
export const USE_LITE_DIMENSION = 512;

const HEADS = 4;
const EMBEDDING = 256;
const WIDTH = USE_LITE_DIMENSION;
const HIDDEN = 1536;
const MODEL = "KonaTransformer/Encode";

interface Node {
  readonly op: string;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly attributes?: Record<string, { int: number } | { float: number } | { ints: number[] }>;
}

/**
 * The model with input `ids` [texts, tokens] int32 and output `embedding` [texts, 512].
 *
 * All texts of a run have the same number of tokens, so there is no padding and no mask. Three
 * things are folded that the published graph computes: the doubled embedding, the query's scale,
 * and the mean over tokens, which is taken before the last linear layer instead of after it. The
 * mean of a linear map is the map of the mean, and a sixth of the arithmetic goes away.
 */
export function useLiteModel(files: UseLiteFiles): Uint8Array<ArrayBuffer> {
  const nodes: Node[] = [];
  const initializers: Record<string, HostTensor> = {};

  const constant = (name: string, dims: number[], data: Floats) => {
    initializers[name] = tensor("float32", dims, data);
    return name;
  };
  const integers = (name: string, ...values: number[]) => {
    initializers[name] = tensor("int64", [values.length], BigInt64Array.from(values, BigInt));
    return name;
  };
  const node = (
    op: string,
    inputs: string[],
    output: string,
    attributes: NonNullable<Node["attributes"]> = {},
  ) => {
    nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  };
  const dense = (name: string, input: string, weight: Floats, bias: Floats) =>
    node("Gemm", [
      input,
      constant(`${name}/kernel`, [weight.length / bias.length, bias.length], weight),
      constant(`${name}/bias`, [bias.length], bias),
    ], name);
  const normalise = (name: string, input: string, layer: string) => {
    const part = (which: string) =>
      files.weight(`${layer}/layer_norm/layer_norm_${which}/ConcatPartitions/concat`);
    const [scale, bias] = [part("scale"), part("bias")];
    return node(
      "LayerNormalization",
      [
        input,
        constant(`${name}/scale`, [scale.length], scale),
        constant(`${name}/bias`, [bias.length], bias),
      ],
      name,
      { axis: { int: -1 }, epsilon: { float: 1e-6 } },
    );
  };

  const shape = node("Shape", ["ids"], "shape");
  const rows = (input: string, width: number) =>
    node("Reshape", [input, integers(`${input}/rows`, -1, width)], `${input}/flat`);
  const sentences = (input: string, ...tail: number[]) => {
    const target = node(
      "Concat",
      [shape, integers(`${input}/tail`, ...tail)],
      `${input}/target`,
      { axis: { int: 0 } },
    );
    return node("Reshape", [input, target], `${input}/sentences`);
  };

  const embed = () => {
    const table = constant(
      "table",
      [files.weight("Embeddings_en").length / EMBEDDING, EMBEDDING],
      // The published graph adds the embedding to itself plus the timing signal.
      files.weight("Embeddings_en").map((value) => 2 * value),
    );
    const timing = constant("timing", [USE_LITE_TOKENS, EMBEDDING], timingSignal(files));
    const words = node("Gather", [table, "ids"], "words");
    const length = node("Slice", [shape, integers("1", 1), integers("2", 2)], "length");
    const positions = node("Slice", [timing, integers("0", 0), length], "positions");
    return rows(node("Add", [words, positions], "input"), EMBEDDING);
  };

  const attention = (name: string, input: string, width: number) => {
    const layer = `${MODEL}/${name}/TransformerLayer/MultiheadAttention`;
    const size = width / HEADS;
    const qkv = dense(
      `${name}/qkv`,
      input,
      scaleQueries(files.weight(`${layer}/qkv_transform_single/kernel/part_0`), width),
      scaleQueries(
        files.weight(`${layer}/qkv_transform_single/bias/ConcatPartitions/concat`),
        width,
      ),
    );
    const heads = node(
      "Transpose",
      [sentences(qkv, 3 * HEADS, size)],
      `${name}/heads`,
      { perm: { ints: [0, 2, 1, 3] } },
    );
    const [query, key, value] = ["query", "key", "value"].map((part) => `${name}/${part}`);
    nodes.push({
      op: "Split",
      inputs: [heads],
      outputs: [query!, key!, value!],
      attributes: { axis: { int: 1 }, num_outputs: { int: 3 } },
    });
    const turned = node("Transpose", [key!], `${name}/turned`, { perm: { ints: [0, 1, 3, 2] } });
    const scores = node("MatMul", [query!, turned], `${name}/scores`);
    const weights = node("Softmax", [scores], `${name}/weights`, { axis: { int: -1 } });
    const mixed = node("MatMul", [weights, value!], `${name}/mixed`);
    const joined = node("Transpose", [mixed], `${name}/joined`, { perm: { ints: [0, 2, 1, 3] } });
    return dense(
      `${name}/output`,
      rows(joined, width),
      files.weight(`${layer}/output_transform_single/kernel/part_0`),
      files.weight(`${layer}/output_transform_single/bias/ConcatPartitions/concat`),
    );
  };

  const feedForward = (name: string, input: string) => {
    const stack = `${MODEL}/TransformerStack/${name}/TransformerLayer/FFN`;
    const layer = `${MODEL}/${name}/TransformerLayer/FFN`;
    const weight = (which: string) => files.weight(`${stack}/${which}/Tensordot/Reshape_1`);
    const bias = (which: string) => files.weight(`${layer}/${which}/bias/ConcatPartitions/concat`);
    const before = normalise(`${name}/ffn/norm`, input, `${layer}/layer_prepostprocess`);
    const inner = dense(`${name}/ffn/inner`, before, weight("conv1"), bias("conv1"));
    return {
      hidden: node("Relu", [inner], `${name}/ffn/hidden`),
      project: (hidden: string) =>
        dense(`${name}/ffn/outer`, hidden, weight("conv2"), bias("conv2")),
    };
  };
  const layerNorm = (name: string, input: string) =>
    normalise(`${name}/norm`, input, `${MODEL}/${name}/TransformerLayer/layer_prepostprocess`);

  const input = embed();
  const widened = dense(
    "widened",
    input,
    files.weight(`${MODEL}/Layer_0/TransformerLayer/dense/kernel/ConcatPartitions/concat`),
    files.weight(`${MODEL}/Layer_0/TransformerLayer/dense/bias/ConcatPartitions/concat`),
  );
  const first = attention("Layer_0", layerNorm("Layer_0", input), EMBEDDING);
  const afterFirst = node("Add", [first, widened], "Layer_0/attended");
  const firstFeed = feedForward("Layer_0", afterFirst);
  const between = node("Add", [firstFeed.project(firstFeed.hidden), afterFirst], "Layer_0/done");
  const second = attention("Layer_1", layerNorm("Layer_1", between), WIDTH);
  const afterSecond = node("Add", [second, between], "Layer_1/attended");
  const secondFeed = feedForward("Layer_1", afterSecond);

  const mean = (value: string, width: number) =>
    node("ReduceMean", [sentences(value, width), "1"], `${value}/mean`, { keepdims: { int: 0 } });
  const pooled = node("Add", [
    secondFeed.project(mean(secondFeed.hidden, HIDDEN)),
    mean(afterSecond, WIDTH),
  ], "pooled");
  const { weight, bias } = useLiteHead(files);
  const squashed = node("Tanh", [dense("head", pooled, weight, bias)], "squashed");
  const norm = node("ReduceL2", [squashed, "1"], "norm", { keepdims: { int: 1 } });
  node("Div", [squashed, norm], "embedding");

  return encodeModel({
    name: "universal-sentence-encoder-lite",
    nodes,
    initializers,
    inputs: [{ name: "ids", type: "int32", dims: ["texts", "tokens"] }],
    outputs: [{ name: "embedding", type: "float32", dims: ["texts", WIDTH] }],
  });
}

/** The last layer: tanh(mean . weight + bias), then unit length. */
export function useLiteHead(files: UseLiteFiles): { weight: Floats; bias: Floats } {
  return {
    weight: files.weight("hidden_layers/tanh_layer_0/weights"),
    bias: files.weight("hidden_layers/tanh_layer_0/bias"),
  };
}

/** Sines, then cosines, of each position at the model's 128 time scales: [128, 256]. */
function timingSignal(files: UseLiteFiles): Floats {
  const rates = files.weight("AddTimingSignal/TimingSignal/ExpandDims_1");
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

/** Divides what gives the queries by the root of the head size: the first third of each row. */
function scaleQueries(weight: Floats, width: number): Floats {
  const scale = 1 / Math.sqrt(width / HEADS);
  return weight.map((value, index) => index % (3 * width) < width ? value * scale : value);
}
