/** A reward head: the function from text features to a reward, and its ONNX model. */
import { encodeModel, type OnnxNode } from "../graph/mod.ts";
import { type HostTensor, type Runtime, scalar, tensor } from "../runtime/mod.ts";

/** One summand of a reward, on standardised features. */
export type RewardPath =
  | {
    /** x . weight */
    readonly kind: "linear";
    /** Factor of the path. */
    readonly coefficient: number;
    /** `[dimension]` */
    readonly weight: Float32Array<ArrayBuffer>;
  }
  | {
    /** tanh(x . hidden + bias) . output */
    readonly kind: "mlp";
    /** Factor of the path: for a correction its mixing weight alpha. */
    readonly coefficient: number;
    /** `[dimension, units]`, row-major. */
    readonly hidden: Float32Array<ArrayBuffer>;
    /** `[units]` */
    readonly bias: Float32Array<ArrayBuffer>;
    /** `[units]` */
    readonly output: Float32Array<ArrayBuffer>;
  };

/**
 * A reward as a function of a text's features f:
 *
 *     R(f) = sum over paths of coefficient * path((f - mean) * scale) / unit - offset
 */
export interface RewardHead {
  /** Length of a feature row. */
  readonly dimension: number;
  /** `[dimension]`, taken from the features. */
  readonly mean: Float32Array<ArrayBuffer>;
  /** What the centred features are multiplied by. */
  readonly scale: number;
  /** The base path, and a correction where there is one. */
  readonly paths: readonly RewardPath[];
  /** What the sum is divided by: the deviation of the training gaps. */
  readonly unit: number;
  /** What is taken away in the end: the text threshold, so that it lies at 0. */
  readonly offset: number;
}

/**
 * The head as an ONNX model of plain operators (opset 20).
 *
 * @returns the bytes of `reward.onnx`: `features [n, dimension]` float32 in, `reward [n]` float32 out;
 * equal heads give equal bytes
 *
 * @example Twice the first feature above its mean of 1
 * ```ts
 * import { assert } from "@std/assert";
 * import { Runtime } from "../runtime/mod.ts";
 * import { evaluateHead, type RewardHead } from "./head.ts";
 * const head: RewardHead = {
 *   dimension: 2,
 *   mean: Float32Array.of(1, 0),
 *   scale: 1,
 *   paths: [{ kind: "linear", coefficient: 2, weight: Float32Array.of(1, 0) }],
 *   unit: 1,
 *   offset: 0,
 * };
 * await using runtime = await Runtime.open("wasm");
 * const rewards = await evaluateHead(runtime, head, Float32Array.of(1, 9, 4, 9));
 * assert(rewards.join() === "0,6");
 * ```
 */
export function headModel(head: RewardHead): Uint8Array<ArrayBuffer> {
  const { dimension, mean, scale, paths, unit, offset } = head;
  const nodes: OnnxNode[] = [];
  const initializers: Record<string, HostTensor> = {};
  const apply = (op: string, output: string, ...inputs: string[]) => {
    nodes.push({ op, inputs, outputs: [output] });
    return output;
  };
  const given = (name: string, value: HostTensor) => {
    initializers[name] = value;
    return name;
  };
  const vector = (name: string, data: Float32Array<ArrayBuffer>, ...dims: number[]) =>
    given(name, tensor("float32", dims, data));

  const centred = apply("Sub", "centred", "features", vector("mean", mean, dimension));
  const x = apply("Mul", "standardised", centred, given("scale", scalar(scale)));
  const summands = paths.map((path, at) => {
    const name = (part: string) => `path${at}.${part}`;
    // The factor goes into the last layer: one operator less for each text.
    const folded = (weights: Float32Array<ArrayBuffer>) =>
      weights.map((weight) => weight * path.coefficient / unit);
    if (path.kind === "linear") {
      const weight = vector(name("weight"), folded(path.weight), dimension, 1);
      return apply("MatMul", name("value"), x, weight);
    }
    const units = path.bias.length;
    const product = apply(
      "MatMul",
      name("product"),
      x,
      vector(name("hidden"), path.hidden, dimension, units),
    );
    const sum = apply("Add", name("sum"), product, vector(name("bias"), path.bias, units));
    const hidden = apply("Tanh", name("activation"), sum);
    const output = vector(name("output"), folded(path.output), units, 1);
    return apply("MatMul", name("value"), hidden, output);
  });
  const total = summands.reduce((sum, value, at) => apply("Add", `sum${at}`, sum, value));
  const shifted = apply("Sub", "shifted", total, given("offset", scalar(offset)));
  const column = given("column", tensor("int64", [1], BigInt64Array.of(1n)));
  apply("Squeeze", "reward", shifted, column);
  return encodeModel({
    name: "reward",
    nodes,
    initializers,
    inputs: [{ name: "features", type: "float32", dims: ["n", dimension] }],
    outputs: [{ name: "reward", type: "float32", dims: ["n"] }],
  });
}

/**
 * Rewards of feature rows.
 *
 * @param features `[n, dimension]`, row-major
 * @returns `[n]`, in deviations of the training gaps
 * @throws FairlError `runtime.shape` when the features are no whole number of rows
 */
export async function evaluateHead(
  runtime: Runtime,
  head: RewardHead,
  features: Float32Array<ArrayBuffer>,
): Promise<Float32Array> {
  await using session = await runtime.session(headModel(head));
  const rows = Math.floor(features.length / head.dimension);
  const { reward } = await session.run({
    features: tensor("float32", [rows, head.dimension], features),
  });
  return (await runtime.read(reward!)).data as Float32Array;
}
