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
import { cacheNames, canFuse, fusedModel } from "./fused.ts";

/** What was read of a prompt. */
export interface ReadPrompt {
  /** Its tokens. */
  readonly length: number;
  /** Keys and values by name, `[length, heads * size]`. */
  readonly cache: Readonly<Record<string, Float32Array>>;
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
    const session = await runtime.session(fusedModel(config, weights, capacity));
    return {
      start: (scale) => new HostRows(session, config, rows, capacity, scale),
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
const PIECE = 16;

/**
 * Rows whose keys and values lie in this process's memory. A run is fed them and gives those of the new
 * tokens alone, which are written into their places.
 */
class HostRows implements PromptRows {
  readonly #names: readonly string[];
  #past: number;
  #cache: Record<string, Float32Array<ArrayBuffer>>;

  constructor(
    private readonly session: Session,
    private readonly config: DecoderConfig,
    private readonly rows: number,
    private readonly capacity: number,
    private readonly scale: number,
  ) {
    this.#names = cacheNames(config);
    this.#past = Math.min(PIECE, capacity);
    this.#cache = this.#empty();
  }

  async step(
    tokens: Int32Array<ArrayBuffer>,
    places: Int32Array<ArrayBuffer>,
  ): Promise<Float32Array> {
    const { keyValueHeads, headSize } = this.config;
    const count = tokens.length;
    const most = places.reduce((high, place) => Math.max(high, place), 0);
    if (most >= this.#past) this.#grow(most + 1);
    const size = count * this.#rowSize;
    const dims = [count, keyValueHeads, this.#past, headSize];
    const results = await this.#run(
      tensor("int32", [count, 1], tokens),
      tensor("int64", [count, 1], BigInt64Array.from(places, BigInt)),
      places,
      most + 1,
      (name) => tensor("float32", dims, this.#cache[name]!.subarray(0, size)),
    );
    const width = keyValueHeads * headSize;
    for (const name of this.#names) {
      const { data } = results[`new.${name}`]! as HostTensor<"float32">;
      for (let row = 0; row < count; row++) {
        this.#write(name, row, places[row]!, data, row * width);
      }
    }
    return (results["probabilities"] as HostTensor<"float32">).data;
  }

  async read(prompts: readonly Int32Array[]): Promise<ReadPrompt[]> {
    const { keyValueHeads, headSize, vocabulary } = this.config;
    const length = prompts[0]!.length;
    const count = prompts.length;
    const tokens = new Int32Array(count * length);
    prompts.forEach((prompt, row) => tokens.set(prompt, row * length));
    const nothing = tensor(
      "float32",
      [count, keyValueHeads, 0, headSize],
      new Float32Array(0),
    );
    const results = await this.#run(
      tensor("int32", [count, length], tokens),
      tensor(
        "int64",
        [count, length],
        BigInt64Array.from(tokens, (_, at) => BigInt(at % length)),
      ),
      new Int32Array(count).fill(length - 1),
      length,
      () => nothing,
    );
    const rowOf = (name: string, row: number, size: number) =>
      (results[name] as HostTensor<"float32">).data.slice(row * size, (row + 1) * size);
    const size = length * keyValueHeads * headSize;
    return prompts.map((_, row) => ({
      length,
      cache: Object.fromEntries(
        this.#names.map((name) => [name, rowOf(`new.${name}`, row, size)]),
      ),
      probabilities: rowOf("probabilities", row, vocabulary),
    }));
  }

  put(row: number, { length, cache }: ReadPrompt): void {
    if (length > this.#past) this.#grow(length);
    const width = this.config.keyValueHeads * this.config.headSize;
    for (const name of this.#names) {
      for (let at = 0; at < length; at++) this.#write(name, row, at, cache[name]!, at * width);
    }
  }

  move(from: number, to: number): void {
    const size = this.#rowSize;
    for (const cache of Object.values(this.#cache)) {
      cache.copyWithin(to * size, from * size, (from + 1) * size);
    }
  }

  dispose(): void {
    this.#cache = {};
  }

  async #run(
    tokens: HostTensor,
    places: HostTensor,
    lengths: Int32Array<ArrayBuffer>,
    total: number,
    cache: (name: string) => HostTensor,
  ): Promise<Record<string, Tensor>> {
    return await this.session.run({
      tokens,
      places,
      lengths: tensor("int32", [lengths.length], lengths),
      total: tensor("int32", [1], Int32Array.of(total)),
      scale: tensor("float32", [1], Float32Array.of(this.scale)),
      ...Object.fromEntries(this.#names.map((name) => [name, cache(name)])),
    });
  }

  get #rowSize(): number {
    return this.config.keyValueHeads * this.#past * this.config.headSize;
  }

  #empty(): Record<string, Float32Array<ArrayBuffer>> {
    const size = this.rows * this.#rowSize;
    return Object.fromEntries(this.#names.map((name) => [name, new Float32Array(size)]));
  }

  /** Writes the keys or values of a token, `[heads, size]`, into a row. */
  #write(name: string, row: number, place: number, from: Float32Array, at: number): void {
    const { keyValueHeads, headSize } = this.config;
    const cache = this.#cache[name]!;
    for (let head = 0; head < keyValueHeads; head++) {
      const to = ((row * keyValueHeads + head) * this.#past + place) * headSize;
      for (let index = 0; index < headSize; index++) cache[to + index] = from[at++]!;
    }
  }

  #grow(least: number): void {
    const [before, old] = [this.#cache, this.#past * this.config.headSize];
    this.#past = Math.min(Math.ceil(least / PIECE) * PIECE, this.capacity);
    this.#cache = this.#empty();
    const next = this.#past * this.config.headSize;
    for (const [name, cache] of Object.entries(this.#cache)) {
      for (let head = 0; head < this.rows * this.config.keyValueHeads; head++) {
        cache.set(before[name]!.subarray(head * old, (head + 1) * old), head * next);
      }
    }
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
