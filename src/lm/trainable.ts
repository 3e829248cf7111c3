/** Which weights of a decoder are trained: all of them, or low-rank adapters beside frozen ones. */
import { Random } from "../base/mod.ts";
import type { ParameterSpec, Value } from "../graph/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import { type DecoderConfig, type DecoderWeights, isLayerMatrix } from "./config.ts";
import type { Adapter, DecoderParts } from "./decoder.ts";

/** Low-rank adapters (Hu et al. 2021). */
export interface LoraSettings {
  /** Rank of the added products. */
  readonly rank: number;
  /** The products are scaled by alpha / rank. Default: twice the rank. */
  readonly alpha?: number;
  /** Ends of the adapted layers' names, as "q_proj". Default: every matrix inside a layer. */
  readonly targets?: readonly string[];
  /** Seed of the first matrices. Default: 0. */
  readonly seed?: number;
}

/** A decoder as a trainer takes it. */
export interface Trainable {
  /** The decoder's shape. */
  readonly config: DecoderConfig;
  /** What is trained. */
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  /** What is not. */
  readonly constants: Readonly<Record<string, HostTensor>>;
  /** The decoder inside a loss. */
  parts(parameters: Record<string, Value>, constants: Record<string, Value>): DecoderParts;
  /** Whole weights out of trained parameters: adapters are added to what they stand beside. */
  merged(parameters: DecoderWeights): Record<string, HostTensor<"float32">>;
}

/** All weights; matrices inside layers are marked for Muon, weight decay reaches matrices alone. */
export function fullWeights(config: DecoderConfig, weights: DecoderWeights): Trainable {
  return {
    config,
    parameters: Object.fromEntries(
      Object.entries(weights).map(([name, value]) => [name, {
        value,
        decay: value.dims.length === 2,
        orthogonal: isLayerMatrix(name, value.dims),
      }]),
    ),
    constants: {},
    parts: (parameters) => ({ config, weights: parameters }),
    merged: (parameters) => ({ ...parameters }),
  };
}

/** Adapters beside frozen weights; they change nothing at first, since B starts at zero. */
export function loraWeights(
  config: DecoderConfig,
  weights: DecoderWeights,
  { rank, alpha = 2 * rank, targets, seed = 0 }: LoraSettings,
): Trainable {
  const random = new Random(seed, "lora");
  const adapted = Object.entries(weights).filter(([name, { dims }]) =>
    isLayerMatrix(name, dims) &&
    (!targets || targets.some((target) => name.endsWith(`.${target}.weight`)))
  );
  const parameters: Record<string, ParameterSpec> = {};
  for (const [name, { dims: [out, from] }] of adapted) {
    const first = random.fork(name).normals(rank * from!, 1 / Math.sqrt(from!));
    parameters[`${name}.a`] = { value: tensor("float32", [rank, from!], first) };
    parameters[`${name}.b`] = {
      value: tensor("float32", [out!, rank], new Float32Array(out! * rank)),
    };
  }
  const scale = alpha / rank;
  return {
    config,
    parameters,
    constants: weights,
    parts(values, constants) {
      const adapters = Object.fromEntries(
        adapted.map(([name]) =>
          [
            name,
            { a: values[`${name}.a`]!, b: values[`${name}.b`]!, scale } satisfies Adapter,
          ] as const
        ),
      );
      return { config, weights: constants, adapters };
    },
    merged(trained) {
      const whole = { ...weights };
      for (const [name, { dims, data }] of adapted) {
        const [out, from] = dims as [number, number];
        const [a, b] = [trained[`${name}.a`]!.data, trained[`${name}.b`]!.data];
        const sum = Float32Array.from(data);
        for (let row = 0; row < out; row++) {
          for (let k = 0; k < rank; k++) {
            const factor = scale * b[row * rank + k]!;
            for (let at = 0; at < from; at++) sum[row * from + at]! += factor * a[k * from + at]!;
          }
        }
        whole[name] = tensor("float32", dims, sum);
      }
      return whole;
    },
  };
}
