/**
 * A Llama decoder as the ONNX file that transformers.js runs, in the form that onnxruntime-genai's
 * builder gives: packed queries, keys and values, GroupQueryAttention that turns them and keeps the
 * cache, logits of the last tokens alone where they are asked for. The fastest form that the peer takes.
 */
import { encodeModel, type OnnxAttribute, type OnnxNode } from "../../src/graph/mod.ts";
import { rotation } from "../../src/lm/decoder.ts";
import { configJson, type DecoderConfig, type DecoderWeights } from "../../src/lm/mod.ts";
import { type HostTensor, tensor } from "../../src/runtime/mod.ts";

/** Writes config.json and onnx/model.onnx into a folder. */
export async function exportLlama(
  folder: string,
  config: DecoderConfig,
  weights: DecoderWeights,
): Promise<void> {
  await Deno.mkdir(`${folder}/onnx`, { recursive: true });
  await Deno.writeTextFile(
    `${folder}/config.json`,
    JSON.stringify({ ...configJson(config), eos_token_id: null }),
  );
  await Deno.writeFile(`${folder}/onnx/model.onnx`, llamaModel(config, weights));
}

function llamaModel(config: DecoderConfig, weights: DecoderWeights): Uint8Array<ArrayBuffer> {
  const { heads, keyValueHeads, headSize, layers, vocabulary, context } = config;
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
    domain = "",
  ) => {
    nodes.push({ op, inputs, outputs, attributes, domain });
    return outputs[0]!;
  };
  const contrib = "com.microsoft";
  const int64 = (name: string, ...values: number[]) =>
    keep(name, tensor("int64", [values.length], BigInt64Array.from(values, BigInt)));
  const weight = (name: string) => weights[`${name}.weight`]!;
  const linear = (input: string, name: string, ...parts: string[]) =>
    node("MatMul", [input, keep(name, sideBySide(parts.map(weight)))], [`${name}/y`]);
  const epsilon = { epsilon: { float: config.normEpsilon } };
  const { cos, sin } = rotation(config, Array.from({ length: context }, (_, at) => at));
  keep("cos", leftHalf(cos));
  keep("sin", leftHalf(sin));

  // Tokens of each row so far, less one; and of the longest.
  int64("one", 1);
  const counted = node("ReduceSum", ["attention_mask", "one"], ["counted"], {
    keepdims: { int: 0 },
  });
  node("Cast", [node("Sub", [counted, "one"], ["ends"])], ["lengths"], { to: { int: 6 } });
  const size = node("Shape", ["attention_mask"], ["size"], { start: { int: 1 } });
  node("Cast", [size], ["total"], { to: { int: 6 } });

  let state = node("Gather", [
    keep("embedding", weight("model.embed_tokens")),
    "input_ids",
  ], ["state"]);
  let seen = node(
    "SimplifiedLayerNormalization",
    [
      state,
      keep("norm", weight("model.layers.0.input_layernorm")),
    ],
    ["seen"],
    { ...epsilon, axis: { int: -1 } },
  );
  const added = (name: string, by: string) => {
    const outputs = [`${name}/y`, "", "", `${name}/sum`];
    const inputs = [state, by, keep(name, weight(name))];
    node("SkipSimplifiedLayerNormalization", inputs, outputs, epsilon, contrib);
    [seen, state] = [outputs[0]!, outputs[3]!];
  };
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const own = `${at}.self_attn`;
    const qkv = linear(seen, `${own}.qkv`, `${own}.q_proj`, `${own}.k_proj`, `${own}.v_proj`);
    const mixed = node(
      "GroupQueryAttention",
      [
        ...[qkv, "", "", `past_key_values.${layer}.key`, `past_key_values.${layer}.value`],
        ...["lengths", "total", "cos", "sin"],
      ],
      [`${own}/y`, `present.${layer}.key`, `present.${layer}.value`],
      { num_heads: { int: heads }, kv_num_heads: { int: keyValueHeads }, do_rotary: { int: 1 } },
      contrib,
    );
    added(`${at}.post_attention_layernorm`, linear(mixed, `${own}.o`, `${own}.o_proj`));
    const gate = linear(seen, `${at}.gate`, `${at}.mlp.gate_proj`);
    const up = linear(seen, `${at}.up`, `${at}.mlp.up_proj`);
    const silu = node("QuickGelu", [gate], [`${at}/silu`], { alpha: { float: 1 } }, contrib);
    const fed = node("Mul", [silu, up], [`${at}/fed`]);
    const next = layer + 1 < layers ? `model.layers.${layer + 1}.input_layernorm` : "model.norm";
    added(next, linear(fed, `${at}.down`, `${at}.mlp.down_proj`));
  }
  // The last num_logits_to_keep tokens; 0 keeps all, and -0 as a start is the first.
  const from = node("Reshape", [
    node("Neg", ["num_logits_to_keep"], ["back"]),
    int64("shape", 1),
  ], ["from"]);
  int64("end", Number.MAX_SAFE_INTEGER);
  node("Slice", [seen, from, "end", "one"], ["kept"]);
  const output = config.tied ? "model.embed_tokens" : "lm_head";
  node("MatMul", ["kept", keep("output", sideBySide([weight(output)]))], ["logits"]);

  const cache = (time: string) => ["batch_size", keyValueHeads, time, headSize];
  const cached = Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]);
  return encodeModel({
    name: "llama",
    nodes,
    initializers,
    inputs: [
      { name: "input_ids", type: "int64", dims: ["batch_size", "sequence"] },
      { name: "attention_mask", type: "int64", dims: ["batch_size", "total"] },
      { name: "num_logits_to_keep", type: "int64", dims: [] },
      ...cached.flat().map((name) => ({
        name: `past_key_values.${name}`,
        type: "float32" as const,
        dims: cache("past"),
      })),
    ],
    outputs: [
      { name: "logits", type: "float32", dims: ["batch_size", "kept", vocabulary] },
      ...cached.flat().map((name) => ({
        name: `present.${name}`,
        type: "float32" as const,
        dims: cache("total"),
      })),
    ],
  }, { domains: { [contrib]: 1 } });
}

/** Matrices `[out, in]` as one `[in, outs]`. */
function sideBySide(matrices: readonly HostTensor<"float32">[]): HostTensor<"float32"> {
  const inputs = matrices[0]!.dims[1]!;
  const outputs = matrices.reduce((sum, { dims }) => sum + dims[0]!, 0);
  const data = new Float32Array(inputs * outputs);
  let column = 0;
  for (const { dims: [rows], data: from } of matrices) {
    for (let row = 0; row < rows!; row++, column++) {
      for (let at = 0; at < inputs; at++) data[at * outputs + column] = from[row * inputs + at]!;
    }
  }
  return tensor("float32", [inputs, outputs], data);
}

function leftHalf({ dims, data }: HostTensor<"float32">): HostTensor<"float32"> {
  const [rows, size] = dims as [number, number];
  const half = data.filter((_, at) => at % size < size / 2);
  return tensor("float32", [rows, size / 2], half);
}
