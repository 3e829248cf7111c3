/** Rows of texts on any device, in plain operators; keys and values may stay on it. */
import {
  constant,
  equal,
  gather,
  greater,
  mul,
  Program,
  reshape,
  softmax,
  type Value,
  where,
} from "../graph/mod.ts";
import {
  type HostTensor,
  isDeviceTensor,
  type Runtime,
  sizeOf,
  type Tensor,
  tensor,
} from "../runtime/mod.ts";
import type { DecoderConfig } from "./config.ts";
import { decoderLogits, rotatedSize, rotation, statesOf } from "./decoder.ts";
import { cacheNames } from "./fused.ts";
import type { Decoding, DecodingRows, RowsSpec } from "./rows.ts";

/** Compiles the step of any decoder. */
export async function openDeviceRows(runtime: Runtime, spec: RowsSpec): Promise<Decoding> {
  const program = await openStep(runtime, spec);
  return {
    start: (scale) => new DeviceRows(program, spec, scale),
    [Symbol.asyncDispose]: () => program.dispose(),
  };
}

/** Not yet written, or of the text that was in this row before. */
const HIDDEN = -1e9;

/** The step of any decoder in plain operators; keys and values may stay on the device. */
function openStep(
  runtime: Runtime,
  { config, weights, rows, capacity }: RowsSpec,
): Promise<Program> {
  const { keyValueHeads, headSize } = config;
  const dims = [rows, keyValueHeads, capacity, headSize];
  const caches = cacheNames(config);
  const row = { type: "int32", dims: [rows] } as const;
  return Program.open(runtime, {
    name: "generate",
    constants: weights,
    inputs: {
      tokens: row,
      places: row,
      scale: { type: "float32", dims: [1] },
      ...Object.fromEntries(caches.map((name) => [name, { type: "float32", dims } as const])),
    },
    resident: caches.map((name) => `new.${name}`),
    outputs({ constants, inputs }) {
      const parts = { config, weights: constants };
      const outputs: Record<string, Value> = {};
      const states = statesOf(parts, reshape(inputs["tokens"]!, [rows, 1]), {
        rows,
        length: 1,
        ...sightAt(config, capacity, inputs["places"]!),
        remember(layer, keys, values) {
          const here = equal(
            constant(range(capacity, [1, 1, capacity, 1])),
            reshape(inputs["places"]!, [rows, 1, 1, 1]),
          );
          const keep = (name: string, own: Value) =>
            outputs[`new.${name}`] = where(here, own, inputs[name]!);
          return [keep(`keys.${layer}`, keys), keep(`values.${layer}`, values)];
        },
      });
      const logits = mul(decoderLogits(parts, states), inputs["scale"]!);
      return { ...outputs, probabilities: softmax(logits) };
    },
  });
}

/** Rotary angles and mask of rows that each are at a place of their own. */
function sightAt(config: DecoderConfig, capacity: number, places: Value) {
  const rows = places.dims[0]!;
  const { cos, sin } = rotation(config, Array.from({ length: capacity }, (_, at) => at));
  const of = (table: HostTensor<"float32">) =>
    reshape(gather(constant(table), places), [rows, 1, 1, rotatedSize(config)]);
  const later = greater(
    constant(range(capacity, [1, 1, 1, capacity])),
    reshape(places, [rows, 1, 1, 1]),
  );
  return { cos: of(cos), sin: of(sin), mask: where(later, HIDDEN, 0) };
}

function range(count: number, dims: readonly number[]): HostTensor<"int32"> {
  return tensor("int32", dims, Int32Array.from({ length: count }, (_, at) => at));
}

/** Rows whose keys and values stay on the device; each run makes them anew, one token longer. */
class DeviceRows implements DecodingRows {
  readonly #rows: number;
  #cache: Record<string, Tensor>;

  constructor(
    private readonly program: Program,
    { config, rows, capacity }: RowsSpec,
    private readonly scale: number,
  ) {
    this.#rows = rows;
    const dims = [rows, config.keyValueHeads, capacity, config.headSize];
    const zeros = tensor("float32", dims, new Float32Array(sizeOf(dims)));
    this.#cache = Object.fromEntries(cacheNames(config).map((name) => [name, zeros]));
  }

  async step(
    tokens: Int32Array<ArrayBuffer>,
    places: Int32Array<ArrayBuffer>,
  ): Promise<Float32Array> {
    const filled = (values: Int32Array) => {
      const all = new Int32Array(this.#rows);
      all.set(values);
      return tensor("int32", [this.#rows], all);
    };
    const { probabilities, ...state } = await this.program.step({
      tokens: filled(tokens),
      places: filled(places),
      scale: tensor("float32", [1], Float32Array.of(this.scale)),
      ...this.#cache,
    });
    this.dispose();
    this.#cache = Object.fromEntries(
      Object.entries(state).map(([name, value]) => [name.slice("new.".length), value]),
    );
    const { data } = await hostOf(probabilities!);
    return data as Float32Array;
  }

  dispose(): void {
    for (const value of Object.values(this.#cache)) if (isDeviceTensor(value)) value.dispose();
  }
}

async function hostOf(value: Tensor): Promise<HostTensor> {
  if (!isDeviceTensor(value)) return value;
  const host = await value.download();
  value.dispose();
  return host;
}
