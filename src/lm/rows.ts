/** Rows of texts in the making, with the keys and values of what was read of each. */
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
  type Session,
  sizeOf,
  type Tensor,
  tensor,
} from "../runtime/mod.ts";
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { decoderLogits, rotatedSize, rotation, statesOf } from "./decoder.ts";
import { cacheNames, canFuse, decodingModel } from "./fused.ts";

/** What was read of a prompt. */
export interface ReadPrompt {
  /** Its tokens. */
  readonly length: number;
  /** Queries, keys and values of each layer, `[length, features]`. */
  readonly states: readonly Float32Array[];
  /** Probabilities of what follows, one for each token of the vocabulary. */
  readonly probabilities: Float32Array;
}

/** Texts that are written at the same time. */
export interface DecodingRows {
  /**
   * Feeds one token to each of the first rows.
   *
   * @param tokens One for each row that is in use
   * @param places Tokens that were fed to each row before
   * @returns probabilities of what follows, row by row
   */
  step(tokens: Int32Array<ArrayBuffer>, places: Int32Array<ArrayBuffer>): Promise<Float32Array>;
  /** Gives up what lies on the device. */
  dispose(): void;
}

/** Rows that take whole prompts, and of which the last can take an empty one's place. */
export interface PromptRows extends DecodingRows {
  /** Reads prompts of one length. */
  read(prompts: readonly Int32Array[]): Promise<ReadPrompt[]>;
  /** Starts a row with a prompt that was read. */
  put(row: number, prompt: ReadPrompt): void;
  /** Copies a row over another. */
  move(from: number, to: number): void;
}

/** A decoder that is ready to write. */
export interface Decoding extends AsyncDisposable {
  /** Empty rows for some texts; the logits are multiplied by the scale. */
  start(scale: number): DecodingRows | PromptRows;
}

/** Compiles a decoder with fixed weights. */
export async function openDecoding(
  runtime: Runtime,
  config: DecoderConfig,
  weights: DecoderWeights,
  rows: number,
  capacity: number,
): Promise<Decoding> {
  if (runtime.device !== "webgpu" && canFuse(config)) {
    const session = await runtime.session(decodingModel(config, weights, capacity));
    const { cos, sin } = rotation(config, Array.from({ length: capacity }, (_, at) => at));
    const angles = { cos: cos.data, sin: sin.data };
    return {
      start: (scale) => new HostRows(session, config, angles, rows, capacity, scale),
      [Symbol.asyncDispose]: () => session.dispose(),
    };
  }
  const program = await openStep(runtime, config, weights, rows, capacity);
  return {
    start: (scale) => new DeviceRows(program, config, rows, capacity, scale),
    [Symbol.asyncDispose]: () => program.dispose(),
  };
}

/** Tokens by which the host's cache grows. */
const PIECE = 8;

/**
 * Rows whose keys and values lie in this process's memory. A run is fed them and gives those of the new
 * tokens alone, which are turned and written into their places.
 */
class HostRows implements PromptRows {
  readonly #names: readonly string[];
  readonly #outputs: readonly string[];
  readonly #scale: HostTensor;
  #past = 0;
  /** Keys and values of each layer in turn, `[rows, heads, past, size]`. */
  #cache: Float32Array<ArrayBuffer>[] = [];

  constructor(
    private readonly session: Session,
    private readonly config: DecoderConfig,
    private readonly angles: { readonly cos: Float32Array; readonly sin: Float32Array },
    private readonly rows: number,
    private readonly capacity: number,
    scale: number,
  ) {
    this.#names = cacheNames(config);
    this.#outputs = Array.from({ length: config.layers }, (_, layer) => `new.${layer}`);
    this.#scale = tensor("float32", [1], Float32Array.of(scale));
    this.#grow(1);
  }

  async step(
    tokens: Int32Array<ArrayBuffer>,
    places: Int32Array<ArrayBuffer>,
  ): Promise<Float32Array> {
    const count = tokens.length;
    const most = places.reduce((high, place) => Math.max(high, place), 0);
    if (most >= this.#past) this.#grow(most + 1);
    const { probabilities, states } = await this.#run(tokens, places, this.#past);
    for (const [layer, features] of states.entries()) {
      const size = features.length / count;
      for (let row = 0; row < count; row++) {
        this.#write(layer, row, places[row]!, features, row * size);
      }
    }
    return probabilities;
  }

  async read(prompts: readonly Int32Array[]): Promise<ReadPrompt[]> {
    const length = prompts[0]!.length;
    const tokens = new Int32Array(prompts.length * length);
    prompts.forEach((prompt, row) => tokens.set(prompt, row * length));
    const lengths = new Int32Array(prompts.length).fill(length - 1);
    const { probabilities, states } = await this.#run(tokens, lengths, 0);
    const rowOf = (values: Float32Array, row: number) => {
      const size = values.length / prompts.length;
      return values.slice(row * size, (row + 1) * size);
    };
    return prompts.map((_, row) => ({
      length,
      states: states.map((features) => rowOf(features, row)),
      probabilities: rowOf(probabilities, row),
    }));
  }

  put(row: number, { length, states }: ReadPrompt): void {
    if (length > this.#past) this.#grow(length);
    for (const [layer, features] of states.entries()) {
      const size = features.length / length;
      for (let at = 0; at < length; at++) this.#write(layer, row, at, features, at * size);
    }
  }

  move(from: number, to: number): void {
    const size = this.#rowSize;
    for (const cache of this.#cache) cache.copyWithin(to * size, from * size, (from + 1) * size);
  }

  dispose(): void {
    this.#cache = [];
  }

  /** Feeds tokens, row by row, that end at some positions, after the first `past` places of the cache. */
  async #run(
    tokens: Int32Array<ArrayBuffer>,
    ends: Int32Array<ArrayBuffer>,
    past: number,
  ): Promise<{ probabilities: Float32Array; states: Float32Array[] }> {
    const { keyValueHeads, headSize } = this.config;
    const count = ends.length;
    const dims = [count, keyValueHeads, past, headSize];
    const size = sizeOf(dims);
    const total = ends.reduce((high, end) => Math.max(high, end), 0) + 1;
    const feeds: Record<string, HostTensor> = {
      tokens: tensor("int32", [count, tokens.length / count], tokens),
      lengths: tensor("int32", [count], ends),
      total: tensor("int32", [1], Int32Array.of(total)),
      scale: this.#scale,
    };
    this.#names.forEach((name, at) =>
      feeds[name] = tensor("float32", dims, this.#cache[at]!.subarray(0, size))
    );
    const results = await this.session.run(feeds);
    const floats = (name: string) => (results[name] as HostTensor<"float32">).data;
    return { probabilities: floats("probabilities"), states: this.#outputs.map(floats) };
  }

  get #rowSize(): number {
    return this.config.keyValueHeads * this.#past * this.config.headSize;
  }

  /** Writes keys and values of a token into a row, from its features in a layer. */
  #write(layer: number, row: number, place: number, features: Float32Array, offset: number): void {
    const { heads, keyValueHeads, headSize } = this.config;
    const [keys, values] = [this.#cache[2 * layer]!, this.#cache[2 * layer + 1]!];
    const { cos, sin } = this.angles;
    const half = headSize / 2;
    const turn = place * headSize;
    let key = offset + heads * headSize;
    let value = key + keyValueHeads * headSize;
    for (let head = 0; head < keyValueHeads; head++, key += headSize, value += headSize) {
      const to = ((row * keyValueHeads + head) * this.#past + place) * headSize;
      for (let at = 0; at < half; at++) {
        const [low, high] = [features[key + at]!, features[key + half + at]!];
        const [x, y] = [cos[turn + at]!, sin[turn + at]!];
        keys[to + at] = low * x - high * y;
        keys[to + half + at] = high * x + low * y;
        values[to + at] = features[value + at]!;
        values[to + half + at] = features[value + half + at]!;
      }
    }
  }

  #grow(least: number): void {
    const [before, old] = [this.#cache, this.#past * this.config.headSize];
    this.#past = Math.min(Math.ceil(least / PIECE) * PIECE, this.capacity);
    const next = this.#past * this.config.headSize;
    this.#cache = this.#names.map((_, at) => {
      const cache = new Float32Array(this.rows * this.#rowSize);
      for (let from = 0, to = 0; from < (before[at]?.length ?? 0); from += old, to += next) {
        cache.set(before[at]!.subarray(from, from + old), to);
      }
      return cache;
    });
  }
}

/** Not yet written, or of the text that was in this row before. */
const HIDDEN = -1e9;

/** The step of any decoder in plain operators; keys and values may stay on the device. */
function openStep(
  runtime: Runtime,
  config: DecoderConfig,
  weights: DecoderWeights,
  rows: number,
  capacity: number,
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
  #cache: Record<string, Tensor>;

  constructor(
    private readonly program: Program,
    { keyValueHeads, headSize, ...config }: DecoderConfig,
    private readonly rows: number,
    capacity: number,
    private readonly scale: number,
  ) {
    const dims = [rows, keyValueHeads, capacity, headSize];
    const zeros = tensor("float32", dims, new Float32Array(sizeOf(dims)));
    this.#cache = Object.fromEntries(
      cacheNames({ keyValueHeads, headSize, ...config }).map((name) => [name, zeros]),
    );
  }

  async step(
    tokens: Int32Array<ArrayBuffer>,
    places: Int32Array<ArrayBuffer>,
  ): Promise<Float32Array> {
    const filled = (values: Int32Array) => {
      const all = new Int32Array(this.rows);
      all.set(values);
      return tensor("int32", [this.rows], all);
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
