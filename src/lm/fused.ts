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

/** Whether {@linkcode decodingModel} can write this decoder. */
export function canFuse({ family, headSize }: DecoderConfig): boolean {
  return family === "llama" && headSize % 16 === 0;
}

/** Names of the keys and values of each layer, as the graph is fed them. */
export function cacheNames({ layers }: DecoderConfig): string[] {
  return Array.from({ length: layers }, (_, layer) => [`keys.${layer}`, `values.${layer}`]).flat();
}

/** Nodes and weights of a decoder up to its last norm. */
class FusedWriter {
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers: Record<string, HostTensor> = {};

  /** @param positions Longest text, in tokens */
  constructor(
    private readonly config: DecoderConfig,
    private readonly weights: DecoderWeights,
    positions: number,
  ) {
    const { cos, sin } = rotation(config, Array.from({ length: positions }, (_, at) => at));
    this.keep("cos", firstHalves(cos));
    this.keep("sin", firstHalves(sin));
  }

  /** A fixed tensor. */
  keep(name: string, value: HostTensor): string {
    this.#initializers[name] = value;
    return name;
  }

  /** An operator; returns its first output. */
  node(
    op: string,
    inputs: string[],
    outputs: string[],
    attributes: Record<string, OnnxAttribute> = {},
    domain = "",
  ): string {
    this.#nodes.push({ op, inputs, outputs, attributes, domain });
    return outputs[0]!;
  }

  /**
   * States `[rows, length, width]` of `tokens`; `lengths` and `total` as {@linkcode decodingModel} is
   * fed them. Queries, keys and values of each layer are named `new.n`.
   *
   * @param cached Whether there are keys and values before
   */
  states(cached: boolean): string {
    const { config, weights } = this;
    const { heads, keyValueHeads, layers } = config;
    const epsilon = { epsilon: { float: config.normEpsilon } };
    // Products that read the same state are one.
    const linear = (input: string, output: string, ...names: string[]) => {
      const matrix = stacked(names.map((name) => weights[`${name}.weight`]!));
      const inputs = [input, this.keep(names[0]!, matrix)];
      return this.node("FusedMatMul", inputs, [output], { transB: { int: 1 } }, CONTRIB);
    };
    const gain = (name: string) => this.keep(name, weights[`${name}.weight`]!);
    const embedding = this.keep("embedding", weights[embeddingName(config)]!);
    let state = this.node("Gather", [embedding, "tokens"], ["state"]);
    let seen = this.node(
      "SimplifiedLayerNormalization",
      [state, gain("model.layers.0.input_layernorm")],
      ["seen"],
      { ...epsilon, axis: { int: -1 } },
    );
    // Adds to the state and normalises the sum.
    const added = (name: string, by: string) => {
      const outputs = [`${name}/y`, "", "", `${name}/sum`];
      const inputs = [state, by, gain(name)];
      this.node("SkipSimplifiedLayerNormalization", inputs, outputs, epsilon, CONTRIB);
      [seen, state] = [outputs[0]!, outputs[3]!];
    };
    for (let layer = 0; layer < layers; layer++) {
      const at = `model.layers.${layer}`;
      const own = `${at}.self_attn`;
      const all = linear(seen, `new.${layer}`, `${own}.q_proj`, `${own}.k_proj`, `${own}.v_proj`);
      const past = cached ? [`keys.${layer}`, `values.${layer}`] : ["", ""];
      const mixed = this.node(
        "GroupQueryAttention",
        [all, "", "", ...past, "lengths", "total", "cos", "sin"],
        [`${own}/mixed`, `${own}/keys`, `${own}/values`],
        { num_heads: { int: heads }, kv_num_heads: { int: keyValueHeads }, do_rotary: { int: 1 } },
        CONTRIB,
      );
      added(`${at}.post_attention_layernorm`, linear(mixed, `${own}/o`, `${own}.o_proj`));
      const gate = linear(seen, `${at}/gate`, `${at}.mlp.gate_proj`);
      const up = linear(seen, `${at}/up`, `${at}.mlp.up_proj`);
      this.node("QuickGelu", [gate], [`${at}/silu`], { alpha: { float: 1 } }, CONTRIB);
      this.node("Mul", [`${at}/silu`, up], [`${at}/fed`]);
      const next = layer + 1 < layers ? `model.layers.${layer + 1}.input_layernorm` : "model.norm";
      added(next, linear(`${at}/fed`, `${at}/down`, `${at}.mlp.down_proj`));
    }
    return seen;
  }

  /** Scores `[n, vocabulary]` of states `[n, width]`. */
  logits(states: string): string {
    const output = this.config.tied
      ? "embedding"
      : this.keep("output", this.weights[outputName(this.config)]!);
    return this.node("Gemm", [states, output], ["logits"], { transB: { int: 1 } });
  }

  /** The model's bytes. */
  model(inputs: readonly OnnxValue[], outputs: readonly OnnxValue[]): Uint8Array<ArrayBuffer> {
    return encodeModel({
      name: "fused",
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs,
      outputs,
    }, { domains: { [CONTRIB]: 1 } });
  }
}

function value(type: OnnxValue["type"], name: string, ...dims: OnnxValue["dims"]): OnnxValue {
  return { name, type, dims };
}

/** What both models are fed of the texts. */
const TEXTS = [
  value("int32", "tokens", "rows", "length"),
  value("int32", "lengths", "rows"),
  value("int32", "total", 1),
];

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
export function decodingModel(
  config: DecoderConfig,
  weights: DecoderWeights,
  positions: number,
): Uint8Array<ArrayBuffer> {
  const { heads, keyValueHeads, headSize, layers, vocabulary } = config;
  const writer = new FusedWriter(config, weights, positions);
  const seen = writer.states(true);
  const last = writer.keep("last", tensor("int64", [], BigInt64Array.of(-1n)));
  const end = writer.node("Gather", [seen, last], ["end"], { axis: { int: 1 } });
  // The states are fewer than the logits.
  const scaled = writer.node("Mul", [end, "scale"], ["scaled"]);
  writer.node("Softmax", [writer.logits(scaled)], ["probabilities"], { axis: { int: -1 } });
  const features = (heads + 2 * keyValueHeads) * headSize;
  return writer.model(
    [
      ...TEXTS,
      value("float32", "scale", 1),
      ...cacheNames(config).map((name) =>
        value("float32", name, "rows", keyValueHeads, "past", headSize)
      ),
    ],
    [
      value("float32", "probabilities", "rows", vocabulary),
      ...Array.from(
        { length: layers },
        (_, layer) => value("float32", `new.${layer}`, "rows", "length", features),
      ),
    ],
  );
}

/**
 * The bytes of a graph that reads whole texts, beginning with their first tokens.
 *
 * Fed: `tokens`, `lengths` and `total` as {@linkcode decodingModel} is; `places` `[n]`, int32: which
 * states of all rows are wanted; `targets` `[n, 1]`, int32: the tokens after them; `mayEnd` `[n, 1]`: 0
 * where the text may not end yet, so that the other tokens share its end's probability.
 *
 * Given: `log` `[n, 1]`, the log-probabilities of the targets in nats, and the wanted `states`, `[n,
 * width]`.
 *
 * @param positions Longest text, in tokens
 * @param temperature The logits are divided by it
 */
export function readingModel(
  config: DecoderConfig,
  weights: DecoderWeights,
  positions: number,
  temperature: number,
): Uint8Array<ArrayBuffer> {
  const { width, eos } = config;
  const writer = new FusedWriter(config, weights, positions);
  const flat = writer.keep("flat", tensor("int64", [2], BigInt64Array.of(-1n, BigInt(width))));
  const one = writer.keep("one", tensor("float32", [], Float32Array.of(1)));
  const cool = writer.keep("cool", tensor("float32", [], Float32Array.of(1 / temperature)));
  const all = writer.node("Reshape", [writer.states(false), flat], ["all"]);
  const states = writer.node("Gather", [all, "places"], ["states"]);
  const logits = writer.logits(writer.node("Mul", [states, cool], ["cooled"]));
  const logs = writer.node("LogSoftmax", [logits], ["logs"], { axis: { int: -1 } });
  const own = writer.node("GatherElements", [logs, "targets"], ["own"], { axis: { int: 1 } });
  const eosAt = writer.keep("eos", tensor("int32", [1], Int32Array.of(eos)));
  const end = writer.node("Gather", [logs, eosAt], ["ending"], { axis: { int: 1 } });
  const ends = writer.node("Exp", [end], ["ends"]);
  const barred = writer.node("Sub", [one, "mayEnd"], ["barred"]);
  const lost = writer.node("Mul", [ends, barred], ["lost"]);
  const left = writer.node("Log", [writer.node("Sub", [one, lost], ["others"])], ["left"]);
  writer.node("Sub", [own, left], ["log"]);
  return writer.model(
    [
      ...TEXTS,
      value("int32", "places", "n"),
      value("int32", "targets", "n", 1),
      value("float32", "mayEnd", "n", 1),
    ],
    [value("float32", "log", "n", 1), value("float32", "states", "n", width)],
  );
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
