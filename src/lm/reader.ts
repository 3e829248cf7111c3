/** Reads log-probabilities of many texts off on the CPU providers. */
import { type HostTensor, type Runtime, type Session, sizeOf, tensor } from "../runtime/mod.ts";
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { canFuse, readingModel } from "./fused.ts";

/** Texts that are read in one run. */
const ROWS = 32;
/** Scores of the vocabulary that one run computes, at most; a single text may need more. */
const SCORES = 1 << 24;

/** What is read: texts laid out in rows of one length, and tokens of them, anywhere. */
export interface ReadingInputs {
  /** `[rows, length]`, int32. */
  readonly tokens: HostTensor;
  /** `[n]`, int32: the place, among all rows' tokens, after which each token comes. */
  readonly places: HostTensor;
  /** `[n]`, int32: the tokens. */
  readonly targets: HostTensor;
  /** `[n]`: 0 where nothing is to be read. */
  readonly there: HostTensor;
  /** `[n]`: 0 where the text may not end yet. */
  readonly mayEnd: HostTensor;
}

/**
 * Log-probabilities under fixed weights. Texts of about one length are computed together, and no longer
 * than they are.
 */
export class TextReader implements AsyncDisposable {
  private constructor(private readonly config: DecoderConfig, private readonly session: Session) {}

  /**
   * Compiles a decoder.
   *
   * @param options `length`: longest text in tokens; `temperature`: the logits are divided by it
   * @returns undefined where the device or the decoder is none for onnxruntime's own operators
   */
  static async open(
    runtime: Runtime,
    config: DecoderConfig,
    weights: DecoderWeights,
    options: { readonly length: number; readonly temperature: number },
  ): Promise<TextReader | undefined> {
    if (runtime.device === "webgpu" || !canFuse(config)) return undefined;
    const { length, temperature } = options;
    const model = readingModel(config, weights, length, temperature);
    return new TextReader(config, await runtime.session(model));
  }

  /**
   * Reads tokens off.
   *
   * @returns `log` `[n]`, in nats, and `states` `[n, width]` before each token; 0 where nothing was to
   * be read
   */
  async read(
    inputs: ReadingInputs,
  ): Promise<{ log: Float32Array<ArrayBuffer>; states: Float32Array<ArrayBuffer> }> {
    const { width } = this.config;
    const [rows, length] = inputs.tokens.dims as [number, number];
    const count = sizeOf(inputs.places.dims);
    const log = new Float32Array(count);
    const states = new Float32Array(count * width);
    const places = inputs.places.data as Int32Array;
    const wanted = Array.from({ length: rows }, (): number[] => []);
    places.forEach((place, at) => {
      if (inputs.there.data[at]) wanted[Math.floor(place / length)]!.push(at);
    });
    // What comes after the last place does not matter to it.
    const sizes = wanted.map((own) =>
      own.reduce((most, at) => Math.max(most, places[at]! % length + 1), 0)
    );
    const order = [...sizes.keys()].filter((row) => sizes[row]! > 0)
      .sort((a, b) => sizes[a]! - sizes[b]! || a - b);
    let some: number[] = [];
    let scores = 0;
    for (const [at, row] of order.entries()) {
      some.push(row);
      scores += wanted[row]!.length * this.config.vocabulary;
      const next = order[at + 1];
      const more = next === undefined ? 0 : wanted[next]!.length * this.config.vocabulary;
      if (next !== undefined && some.length < ROWS && scores + more <= SCORES) continue;
      await this.#some(inputs, some, wanted, sizes[row]!, log, states);
      [some, scores] = [[], 0];
    }
    return { log, states };
  }

  /** Reads some rows, cut to a length. */
  async #some(
    inputs: ReadingInputs,
    rows: readonly number[],
    wanted: readonly (readonly number[])[],
    size: number,
    log: Float32Array,
    states: Float32Array,
  ): Promise<void> {
    const length = inputs.tokens.dims[1]!;
    const tokens = new Int32Array(rows.length * size);
    const slots: number[] = [];
    const places: number[] = [];
    for (const [at, row] of rows.entries()) {
      const own = inputs.tokens.data.subarray(row * length, row * length + size);
      tokens.set(own as Int32Array, at * size);
      for (const slot of wanted[row]!) {
        slots.push(slot);
        places.push(at * size + Number(inputs.places.data[slot]) % length);
      }
    }
    const column = [slots.length, 1];
    const found = await this.session.run({
      tokens: tensor("int32", [rows.length, size], tokens),
      lengths: tensor("int32", [rows.length], new Int32Array(rows.length).fill(size - 1)),
      total: tensor("int32", [1], Int32Array.of(size)),
      places: tensor("int32", [slots.length], Int32Array.from(places)),
      targets: tensor(
        "int32",
        column,
        Int32Array.from(slots, (slot) => Number(inputs.targets.data[slot])),
      ),
      mayEnd: tensor(
        "float32",
        column,
        Float32Array.from(slots, (slot) => Number(inputs.mayEnd.data[slot])),
      ),
    });
    const logs = (found["log"] as HostTensor<"float32">).data;
    const before = (found["states"] as HostTensor<"float32">).data;
    const { width } = this.config;
    slots.forEach((slot, at) => {
      log[slot] = logs[at]!;
      states.set(before.subarray(at * width, (at + 1) * width), slot * width);
    });
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.dispose();
  }
}
