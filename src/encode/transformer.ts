/** Writes transformer encoders as ONNX graphs over texts of equal length: no padding, no mask. */
import { encodeModel, type OnnxAttribute, type OnnxNode } from "../graph/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import { quantiseActivation, quantiseColumns, type Range } from "./quantise.ts";

/** The array of a float32 tensor. */
export type Floats = Float32Array<ArrayBuffer>;

/** A linear layer: kernel [inputs, outputs], bias [outputs]. */
export interface Linear {
  readonly kernel: Floats;
  readonly bias: Floats;
}

/** The gain and the offset of a normalisation over the last axis. */
export interface Norm {
  readonly scale: Floats;
  readonly bias: Floats;
  readonly epsilon: number;
}

/**
 * Collects the nodes of an encoder whose input is `ids` [texts, tokens] int32. Between layers a
 * value is [texts * tokens, width], so that every linear layer is one large matrix product.
 */
export class TransformerWriter {
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers: Record<string, HostTensor> = {};
  readonly #ranges: Readonly<Record<string, Range>>;
  readonly #shape: string;

  /** @param ranges The values that go into the linear layers to be computed in 8 bits, by layer */
  constructor(ranges: Readonly<Record<string, Range>> = {}) {
    this.#ranges = ranges;
    this.#shape = this.node("Shape", ["ids"], "shape");
  }

  /** A constant of float32. */
  constant(name: string, dims: readonly number[], data: Floats): string {
    return this.#initializer(name, tensor("float32", dims, data));
  }

  /** An operator with one output, which it returns. */
  node(
    op: string,
    inputs: string[],
    output: string,
    attributes: Record<string, OnnxAttribute> = {},
    domain = "",
  ): string {
    this.#nodes.push({ op, inputs, outputs: [output], attributes, domain });
    return output;
  }

  /** Rows of a table [entries, width] at the ids, plus one for each position: [texts * tokens, width]. */
  embed(table: Floats, positions: Floats, width: number): string {
    const rows = (data: Floats) => [data.length / width, width];
    const words = this.node(
      "Gather",
      [this.constant("table", rows(table), table), "ids"],
      "words",
    );
    const one = this.#integers("one", 1);
    const tokens = this.node("Slice", [this.#shape, one, this.#integers("two", 2)], "tokens");
    const signal = this.node("Slice", [
      this.constant("positions", rows(positions), positions),
      this.#integers("zero", 0),
      tokens,
    ], "signal");
    return this.#rows(this.node("Add", [words, signal], "input"), width);
  }

  /** input . kernel + bias, in 8 bits where the layer has a range. */
  linear(name: string, input: string, { kernel, bias }: Linear): string {
    const dims = [kernel.length / bias.length, bias.length];
    const offset = this.constant(`${name}/bias`, [bias.length], bias);
    const range = this.#ranges[name];
    if (!range) {
      return this.node(
        "Gemm",
        [input, this.constant(`${name}/kernel`, dims, kernel), offset],
        name,
      );
    }
    const activation = quantiseActivation(range);
    const columns = quantiseColumns(kernel, bias.length);
    const scale = this.constant(`${name}/scale`, [], Float32Array.of(activation.scale));
    const zero = this.#initializer(
      `${name}/zero`,
      tensor("uint8", [], Uint8Array.of(activation.zero)),
    );
    const rounded = this.node("QuantizeLinear", [input, scale, zero], `${name}/rounded`);
    return this.node(
      "MatMulIntegerToFloat",
      [
        rounded,
        this.#initializer(`${name}/columns`, tensor("int8", dims, columns.values)),
        scale,
        this.constant(`${name}/scales`, [bias.length], columns.scales),
        zero,
        "",
        offset,
      ],
      name,
      {},
      "com.microsoft",
    );
  }

  /** Rows with mean 0 and deviation 1, times a gain, plus an offset. */
  norm(name: string, input: string, { scale, bias, epsilon }: Norm): string {
    return this.node(
      "LayerNormalization",
      [
        input,
        this.constant(`${name}/scale`, [scale.length], scale),
        this.constant(`${name}/bias`, [bias.length], bias),
      ],
      name,
      { axis: { int: -1 }, epsilon: { float: epsilon } },
    );
  }

  /**
   * Softmax attention within each text.
   *
   * @param qkv Queries, keys and values side by side [texts * tokens, 3 * width]; the queries are
   *   already divided by the root of the head size
   * @returns [texts * tokens, width]
   */
  attention(name: string, qkv: string, heads: number, width: number): string {
    const swap = { perm: { ints: [0, 2, 1, 3] } };
    const all = this.node(
      "Transpose",
      [this.sentences(qkv, 3 * heads, width / heads)],
      `${name}/heads`,
      swap,
    );
    const parts = ["query", "key", "value"].map((part) => `${name}/${part}`);
    const [query, key, value] = parts as [string, string, string];
    this.#nodes.push({
      op: "Split",
      inputs: [all],
      outputs: parts,
      attributes: { axis: { int: 1 }, num_outputs: { int: 3 } },
    });
    const turned = this.node("Transpose", [key], `${name}/turned`, {
      perm: { ints: [0, 1, 3, 2] },
    });
    const scores = this.node("MatMul", [query, turned], `${name}/scores`);
    const weights = this.node("Softmax", [scores], `${name}/weights`, { axis: { int: -1 } });
    const mixed = this.node("MatMul", [weights, value], `${name}/mixed`);
    return this.#rows(this.node("Transpose", [mixed], `${name}/joined`, swap), width);
  }

  /** The mean over the tokens of each text: [texts, width]. */
  mean(input: string, width: number): string {
    const axis = this.#integers("axis", 1);
    return this.node("ReduceMean", [this.sentences(input, width), axis], `${input}/mean`, {
      keepdims: { int: 0 },
    });
  }

  /** Rows of length 1. */
  unit(input: string, output: string): string {
    const axis = this.#integers("axis", 1);
    const length = this.node("ReduceL2", [input, axis], "length", { keepdims: { int: 1 } });
    return this.node("Div", [input, length], output);
  }

  /** [texts * tokens, width] seen as [texts, tokens, ...tail]. */
  sentences(input: string, ...tail: number[]): string {
    const target = this.node(
      "Concat",
      [this.#shape, this.#integers(`${input}/tail`, ...tail)],
      `${input}/target`,
      { axis: { int: 0 } },
    );
    return this.node("Reshape", [input, target], `${input}/sentences`);
  }

  /**
   * The model's bytes.
   *
   * @param outputs Names of values and their dimensions
   */
  model(
    name: string,
    outputs: Readonly<Record<string, readonly (number | string)[]>>,
  ): Uint8Array<ArrayBuffer> {
    return encodeModel({
      name,
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: [{ name: "ids", type: "int32", dims: ["texts", "tokens"] }],
      outputs: Object.entries(outputs).map(([output, dims]) => ({
        name: output,
        type: "float32",
        dims,
      })),
    }, { domains: { "com.microsoft": 1 } });
  }

  #rows(input: string, width: number): string {
    const target = this.#integers(`${input}/width`, -1, width);
    return this.node("Reshape", [input, target], `${input}/rows`);
  }

  #integers(name: string, ...values: number[]): string {
    return this.#initializer(
      name,
      tensor("int64", [values.length], BigInt64Array.from(values, BigInt)),
    );
  }

  #initializer(name: string, value: HostTensor): string {
    this.#initializers[name] = value;
    return name;
  }
}

/** Divides the part of a fused query-key-value layer that gives the queries by the root of the head size. */
export function scaleQueries({ kernel, bias }: Linear, heads: number): Linear {
  const width = bias.length / 3;
  const scale = 1 / Math.sqrt(width / heads);
  const part = (data: Floats) =>
    data.map((value, index) => index % (3 * width) < width ? value * scale : value);
  return { kernel: part(kernel), bias: part(bias) };
}
