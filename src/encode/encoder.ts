/** Texts to features: each distinct text once, in batches of equal length, kept on disk. */
import { type Progress, silent } from "../base/mod.ts";
import type { Device } from "../runtime/mod.ts";
import type { FeatureCache } from "./feature_cache.ts";
import type { TextModel } from "./model.ts";

/** How one call of {@linkcode Encoder.encode} is watched and stopped. */
export interface EncodeOptions {
  /** Told of texts done, their rate and the time left. */
  progress?: Progress;
  /** Ends the call after the batch it is in, with the signal's reason. What was done is kept. */
  signal?: AbortSignal;
}

/** Turns texts into feature rows. */
export interface Encoder extends AsyncDisposable {
  /** Name, revision or content hash, and precision: the key of everything kept from it. */
  readonly id: string;
  /** Length of a feature row. */
  readonly dimension: number;
  /** Where it runs. */
  readonly device: Device;
  /**
   * The features of texts, in their order. A text's features do not depend on the others.
   *
   * @returns rows [texts, dimension], row-major
   * @throws the signal's reason when it is aborted
   */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<Float32Array<ArrayBuffer>>;
}

/** Milliseconds of computing after which the event loop turns once. */
const TURN = 50;

/** A text that has to be computed: which distinct text it is, and its tokens. */
interface Pending {
  readonly index: number;
  readonly ids: Int32Array<ArrayBuffer>;
}

/** Puts dedupe, the cache, batching, progress and abort around a model. */
export class BatchingEncoder implements Encoder {
  readonly #model: TextModel;
  readonly #cache: FeatureCache | undefined;

  /** Owns the model and the cache from here on: disposing of it disposes of them. */
  constructor(model: TextModel, cache?: FeatureCache) {
    this.#model = model;
    this.#cache = cache;
  }

  get id(): string {
    return this.#model.id;
  }

  get dimension(): number {
    return this.#model.dimension;
  }

  get device(): Device {
    return this.#model.device;
  }

  async encode(
    texts: readonly string[],
    { progress = silent, signal }: EncodeOptions = {},
  ): Promise<Float32Array<ArrayBuffer>> {
    signal?.throwIfAborted();
    const { distinct, places } = deduplicate(texts);
    const width = this.dimension;
    const rows = new Float32Array(distinct.length * width);
    const missing = this.#cache?.load(distinct, rows) ?? distinct.map((_, index) => index);

    progress.start("encode", distinct.length, "texts");
    try {
      await this.#compute(distinct, missing, rows, progress, signal);
    } finally {
      progress.end();
    }
    if (distinct.length === texts.length) return rows;
    const result = new Float32Array(texts.length * width);
    places.forEach((place, index) => {
      result.set(rows.subarray(place * width, (place + 1) * width), index * width);
    });
    return result;
  }

  /** Writes what waits for the cache and releases the model. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#cache?.[Symbol.dispose]();
    await this.#model[Symbol.asyncDispose]();
  }

  /** Computes the rows at `missing`, handing each finished batch to the cache. */
  async #compute(
    texts: readonly string[],
    missing: readonly number[],
    rows: Float32Array<ArrayBuffer>,
    progress: Progress,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const width = this.dimension;
    const pending = missing.map((index) => ({ index, ids: this.#model.tokenize(texts[index]!) }));
    const pace = new Pace(pending);
    let done = texts.length - missing.length;
    let turned = performance.now();
    progress.update(done);
    try {
      for (const batch of batches(pending, this.#model.batchTokens)) {
        signal?.throwIfAborted();
        const tokens = batch[0]!.ids.length;
        const ids = new Int32Array(batch.length * tokens);
        batch.forEach((text, row) => ids.set(text.ids, row * tokens));
        const features = await this.#model.embed(ids, tokens);
        batch.forEach(({ index }, row) => {
          const feature = features.subarray(row * width, (row + 1) * width);
          rows.set(feature, index * width);
          this.#cache?.add(texts[index]!, feature);
        });
        done += batch.length;
        progress.update(done, pace.note(batch));
        // Runs in wasm keep the event loop from turning; signals and timers get their turn here.
        if (performance.now() - turned > TURN) {
          await new Promise((resume) => setTimeout(resume));
          turned = performance.now();
        }
      }
    } finally {
      this.#cache?.flush();
    }
  }
}

/** The distinct texts in order of first appearance, and which of them each text is. */
function deduplicate(texts: readonly string[]): { distinct: string[]; places: Int32Array } {
  const seen = new Map<string, number>();
  const places = Int32Array.from(texts, (text) => {
    // A lone half of a surrogate pair has no UTF-8 form: U+FFFD, as every decoder writes it.
    const whole = text.toWellFormed();
    const place = seen.get(whole) ?? seen.size;
    seen.set(whole, place);
    return place;
  });
  return { distinct: [...seen.keys()], places };
}

/**
 * Texts of equal length together, longest first so that memory is short early or never, no more
 * than `tokens` tokens in a batch.
 */
function* batches(pending: readonly Pending[], tokens: number): Generator<Pending[]> {
  const groups = Map.groupBy(pending, ({ ids }) => ids.length);
  for (const [length, group] of [...groups].sort(([a], [b]) => b - a)) {
    // Texts without tokens all have one embedding; a model is asked for it once per text.
    const size = length === 0 ? 1 : Math.max(1, Math.floor(tokens / length));
    for (let at = 0; at < group.length; at += size) yield group.slice(at, at + size);
  }
}

/** Rate and time left, by tokens: long texts take longer. */
class Pace {
  readonly #start = performance.now();
  #texts = 0;
  #tokens = 0;
  readonly #total: number;

  constructor(pending: readonly Pending[]) {
    this.#total = pending.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  note(batch: readonly Pending[]): string {
    this.#texts += batch.length;
    for (const { ids } of batch) this.#tokens += ids.length;
    const seconds = (performance.now() - this.#start) / 1000;
    const left = Math.ceil(seconds * (this.#total / Math.max(1, this.#tokens) - 1));
    return `${Math.round(this.#texts / seconds)}/s, ${left} s left`;
  }
}
