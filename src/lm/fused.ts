/**
 * A Llama decoder for the CPU providers, written with onnxruntime's own operators: a quarter of the
 * nodes of decoder.ts's graph, which training and WebGPU need as plain operators.
 */
import { encodeModel, type OnnxAttribute, type OnnxNode, type OnnxValue } from "../graph/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { embeddingName, outputName, rotation } from "./decoder.ts";

/** onnxruntime's operators beside the standard ones. */
const CONTRIB = "com.microsoft";

/** Whether {@linkcode fusedModel} can write this decoder. */
export function canFuse({ family, headSize }: DecoderConfig): boolean {
  return family === "llama" && headSize % 16 === 0;
}

/** Names of the keys and values of each layer, as the graph is fed them. */
export function cacheNames({ layers }: DecoderConfig): string[] {
  return Array.from({ length: layers }, (_, layer) => [`keys.${layer}`, `values.${layer}`]).flat();
}

/**
 * The bytes of a graph that reads `length` new tokens of some rows after what it has read before.
 *
 * Fed: `tokens` `[rows, length]`, int32; `lengths` `[rows]`, int32, and `total` `[1]`, int32: the
 * position of each row's last new token, and one more than the largest; `scale` `[1]`: the logits are
 * multiplied by it; the keys and values before, each `[rows, heads, past, size]`, of which a row's first
 * ones count.
 *
 * Given: `probabilities` `[rows, vocabulary]` of what follows the last token of each row, and for each
 * layer `new.n`, `[rows, length, features]`: queries, keys and values of the new tokens side by side, not
 * turned yet. The cache takes turned keys; giving the few new ones and not the whole cache leaves most of
 * the memory where it is.
 *
 * @param positions Longest text, in tokens
 */
export function fusedModel(
  config: DecoderConfig,
  weights: DecoderWeights,
  positions: number,
): Uint8Array<ArrayBuffer> {
  const { heads, keyValueHeads, headSize, layers, width, vocabulary } = config;
  const nodes: OnnxNode[] = [];
  const initializers: Record<string, HostTensor> = {};
  const keep = (name: string, value: HostTensor) => {
    initializers[name] = value;
    return name;
  };
  const node = (
    op: string,
    inputs: string[],
    outputs: string[],
    attributes: Record<string, OnnxAttribute> = {},
    domain = CONTRIB,
  ) => {
    nodes.push({ op, inputs, outputs, attributes, domain });
    return outputs[0]!;
  };
  // Products that read the same state are one.
  const linear = (input: string, output: string, ...names: string[]) =>
    node(
      "FusedMatMul",
      [input, keep(names[0]!, stacked(names.map((name) => weights[`${name}.weight`]!)))],
      [output],
      { transB: { int: 1 } },
    );
  const gain = (name: string) => keep(name, weights[`${name}.weight`]!);
  const epsilon = { epsilon: { float: config.normEpsilon } };
  const { cos, sin } = rotation(config, Array.from({ length: positions }, (_, at) => at));
  keep("cos", firstHalves(cos));
  keep("sin", firstHalves(sin));

  const embedding = keep("embedding", weights[embeddingName(config)]!);
  let state = node("Gather", [embedding, "tokens"], ["state"], {}, "");
  let seen = node(
    "SimplifiedLayerNormalization",
    [state, gain("model.layers.0.input_layernorm")],
    ["seen"],
    { ...epsilon, axis: { int: -1 } },
    "",
  );
  // Adds to the state and normalises the sum.
  const added = (name: string, by: string) => {
    const outputs = [`${name}/y`, "", "", `${name}/sum`];
    node("SkipSimplifiedLayerNormalization", [state, by, gain(name)], outputs, epsilon);
    [seen, state] = [outputs[0]!, outputs[3]!];
  };
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const own = `${at}.self_attn`;
    const all = linear(seen, `new.${layer}`, `${own}.q_proj`, `${own}.k_proj`, `${own}.v_proj`);
    const mixed = node(
      "GroupQueryAttention",
      [all, "", "", `keys.${layer}`, `values.${layer}`, "lengths", "total", "cos", "sin"],
      [`${own}/mixed`, `${own}/keys`, `${own}/values`],
      { num_heads: { int: heads }, kv_num_heads: { int: keyValueHeads }, do_rotary: { int: 1 } },
    );
    added(`${at}.post_attention_layernorm`, linear(mixed, `${own}/o`, `${own}.o_proj`));
    const gate = linear(seen, `${at}/gate`, `${at}.mlp.gate_proj`);
    const up = linear(seen, `${at}/up`, `${at}.mlp.up_proj`);
    node("QuickGelu", [gate], [`${at}/silu`], { alpha: { float: 1 } });
    node("Mul", [`${at}/silu`, up], [`${at}/fed`], {}, "");
    const next = layer + 1 < layers ? `model.layers.${layer + 1}.input_layernorm` : "model.norm";
    added(next, linear(`${at}/fed`, `${at}/down`, `${at}.mlp.down_proj`));
  }
  const last = keep("last", tensor("int64", [], BigInt64Array.of(-1n)));
  node("Gather", [seen, last], ["end"], { axis: { int: 1 } }, "");
  const output = config.tied ? embedding : keep("output", weights[outputName(config)]!);
  node("Gemm", ["end", output], ["logits"], { transB: { int: 1 } }, "");
  node("Mul", ["logits", "scale"], ["scaled"], {}, "");
  node("Softmax", ["scaled"], ["probabilities"], { axis: { int: -1 } }, "");

  const cache = ["rows", keyValueHeads, "past", headSize];
  const float = (name: string, dims: OnnxValue["dims"]): OnnxValue => ({
    name,
    type: "float32",
    dims,
  });
  return encodeModel({
    name: `decode ${width}`,
    nodes,
    initializers,
    inputs: [
      { name: "tokens", type: "int32", dims: ["rows", "length"] },
      { name: "lengths", type: "int32", dims: ["rows"] },
      { name: "total", type: "int32", dims: [1] },
      float("scale", [1]),
      ...cacheNames(config).map((name) => float(name, cache)),
    ],
    outputs: [
      float("probabilities", ["rows", vocabulary]),
      ...Array.from(
        { length: layers },
        (_, layer) =>
          float(`new.${layer}`, ["rows", "length", (heads + 2 * keyValueHeads) * headSize]),
      ),
    ],
  }, { domains: { [CONTRIB]: 1 } });
}

/** Matrices `[out, in]` one under the other. */
function stacked(matrices: readonly HostTensor<"float32">[]): HostTensor<"float32"> {
  if (matrices.length === 1) return matrices[0]!;
  const rows = matrices.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const columns = matrices[0]!.dims[1]!;
  const data = new Float32Array(rows * columns);
  let at = 0;
  for (const matrix of matrices) {
    data.set(matrix.data, at);
    at += matrix.data.length;
  }
  return tensor("float32", [rows, columns], data);
}

/** The first half of each row: a rotation's halves are equal. */
function firstHalves({ dims, data }: HostTensor<"float32">): HostTensor<"float32"> {
  const [rows, size] = dims as [number, number];
  const half = size / 2;
  const found = new Float32Array(rows * half);
  for (let row = 0; row < rows; row++) {
    found.set(data.subarray(row * size, row * size + half), row * half);
  }
  return tensor("float32", [rows, half], found);
}
