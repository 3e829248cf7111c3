/** Rows of texts on the CPU providers. */
import { type HostTensor, type Runtime, type Session, sizeOf, tensor } from "../runtime/mod.ts";
import { rotation } from "./decoder.ts";
import { cacheNames, decodingModel } from "./fused.ts";
import type { Decoding, PromptRows, ReadPrompt, RowsSpec } from "./rows.ts";

/** Compiles a decoder of onnxruntime's own operators. */
export async function openHostRows(runtime: Runtime, spec: RowsSpec): Promise<Decoding> {
  const { config, weights, capacity } = spec;
  const session = await runtime.session(decodingModel(config, weights, capacity));
  const { cos, sin } = rotation(config, Array.from({ length: capacity }, (_, at) => at));
  const angles = { cos: cos.data, sin: sin.data };
  const free: Cache[] = [];
  return {
    start: (scale) => new HostRows(session, angles, spec, scale, free),
    [Symbol.asyncDispose]: () => session.dispose(),
  };
}

/** Keys and values of each layer in turn, with room for the most and longest texts. */
type Cache = readonly Float32Array<ArrayBuffer>[];

/** Tokens by which the host's cache grows. */
const PIECE = 4;

/**
 * Rows whose keys and values lie in this process's memory. A run is fed them and gives those of the new
 * tokens alone, which are turned and written into their places.
 */
class HostRows implements PromptRows {
  readonly #names: readonly string[];
  readonly #outputs: readonly string[];
  readonly #scale: HostTensor;
  /** Tokens that a row of the cache has room for at present. */
  #past = 0;
  /** Laid out as `[rows, heads, past, size]`. */
  readonly #cache: Cache;

  constructor(
    private readonly session: Session,
    private readonly angles: { readonly cos: Float32Array; readonly sin: Float32Array },
    private readonly spec: RowsSpec,
    scale: number,
    /** Caches that no rows use. */
    private readonly free: Cache[],
  ) {
    const { config, rows, capacity } = spec;
    const size = rows * config.keyValueHeads * capacity * config.headSize;
    this.#names = cacheNames(config);
    this.#outputs = Array.from({ length: config.layers }, (_, layer) => `new.${layer}`);
    this.#scale = tensor("float32", [1], Float32Array.of(scale));
    this.#cache = free.pop() ?? this.#names.map(() => new Float32Array(size));
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
    this.free.push(this.#cache);
  }

  /** Feeds tokens, row by row, that end at some positions, after the first `past` places of the cache. */
  async #run(
    tokens: Int32Array<ArrayBuffer>,
    ends: Int32Array<ArrayBuffer>,
    past: number,
  ): Promise<{ probabilities: Float32Array; states: Float32Array[] }> {
    const { keyValueHeads, headSize } = this.spec.config;
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
    return this.spec.config.keyValueHeads * this.#past * this.spec.config.headSize;
  }

  /** Writes keys and values of a token into a row, from its features in a layer. */
  #write(layer: number, row: number, place: number, features: Float32Array, offset: number): void {
    const { heads, keyValueHeads, headSize } = this.spec.config;
    const [keys, values] = [this.#cache[2 * layer]!, this.#cache[2 * layer + 1]!];
    const { cos, sin } = this.angles;
    const half = headSize / 2;
    const turn = place * headSize;
    let key = offset + heads * headSize;
    let value = key + keyValueHeads * headSize;
    const step = this.#past * headSize;
    let to = (row * keyValueHeads * this.#past + place) * headSize;
    for (let head = 0; head < keyValueHeads; head++) {
      for (let at = 0; at < half; at++) {
        const [low, high] = [features[key + at]!, features[key + half + at]!];
        const [x, y] = [cos[turn + at]!, sin[turn + at]!];
        keys[to + at] = low * x - high * y;
        keys[to + half + at] = high * x + low * y;
        values[to + at] = features[value + at]!;
        values[to + half + at] = features[value + half + at]!;
      }
      key += headSize;
      value += headSize;
      to += step;
    }
  }

  /** Makes room for more tokens, each row's moving apart; from the last one, so that none is lost. */
  #grow(least: number): void {
    const { rows, capacity, config: { keyValueHeads, headSize } } = this.spec;
    const old = this.#past * headSize;
    this.#past = Math.min(Math.ceil(least / PIECE) * PIECE, capacity);
    const next = this.#past * headSize;
    if (old === 0) return;
    for (const cache of this.#cache) {
      for (let head = rows * keyValueHeads - 1; head > 0; head--) {
        cache.copyWithin(head * next, head * old, (head + 1) * old);
      }
    }
  }
}
