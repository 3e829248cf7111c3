/** Generation with a key and value cache: each row goes on by itself, a free one takes the next prompt. */
import { FairlError, Random } from "../base/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { type Decoding, openDecoding, type PromptRows, type ReadPrompt } from "./rows.ts";
import { Sampler, type SamplingSettings } from "./sampling.ts";

/** How texts are continued. */
export interface GenerationSettings extends SamplingSettings {
  /** New tokens at most, the end of the text counted. */
  readonly maxTokens: number;
  /** New tokens before the text may end. Default: 0. */
  readonly minTokens?: number | undefined;
  /** Seed of all draws; each prompt has a stream of its own, whatever batch it is in. Default: 0. */
  readonly seed?: number | undefined;
  /** Ends a text early, given its new tokens so far. */
  readonly stop?: ((tokens: readonly number[]) => boolean) | undefined;
}

/** What a prompt was continued with. */
export interface Generated {
  /** The new tokens; the end of the text is the last of them where it was reached. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /**
   * log p of each new token in nats, of the model's distribution at the temperature (at 1 for greedy
   * decoding), before top-k, top-p and min-p. Where the text might not end yet, given that it did not.
   */
  readonly logProbabilities: Float32Array<ArrayBuffer>;
  /** Why it ended: the end of the text, its length, or `stop`. */
  readonly reason: "eos" | "length" | "stop";
}

/** What a generator is opened with. */
export interface GeneratorOptions {
  /** Rows that are computed at a time. Default: 32. */
  readonly rows?: number;
  /** Longest prompt and continuation together, in tokens. */
  readonly capacity: number;
}

/** A text in the making. */
interface Active {
  readonly index: number;
  readonly prompt: Int32Array;
  readonly random: Random;
  readonly tokens: number[];
  readonly logProbabilities: number[];
  /** Tokens that were fed. */
  length: number;
}

/**
 * Continues prompts. A run feeds one token to every row; rows are at places of their own, so prompts
 * of mixed lengths need no padding, and a row whose text has ended takes the next prompt. The CPU
 * providers read a prompt in one run with others of its length, equal ones once, and compute no row
 * that has nothing left to write; on WebGPU keys and values stay on the device.
 */
export class Generator implements AsyncDisposable {
  private constructor(
    /** The decoder's shape. */
    readonly config: DecoderConfig,
    private readonly rows: number,
    private readonly capacity: number,
    private readonly decoding: Decoding,
  ) {}

  /**
   * Compiles a decoder with fixed weights.
   *
   * @throws FairlError `lm.capacity` when the decoder was not trained for texts of that length
   */
  static async open(
    runtime: Runtime,
    config: DecoderConfig,
    weights: DecoderWeights,
    { rows = 32, capacity }: GeneratorOptions,
  ): Promise<Generator> {
    if (capacity < 2 || capacity > config.context) {
      throw new FairlError(
        "lm.capacity",
        `The model reads 2 to ${config.context} tokens, not ${capacity}`,
      );
    }
    const decoding = await openDecoding(runtime, { config, weights, rows, capacity });
    return new Generator(config, rows, capacity, decoding);
  }

  /**
   * Continues each prompt.
   *
   * @param prompts Tokens of each, at least one
   * @param signal Ends it early
   * @throws FairlError `lm.prompt` when one is empty or leaves no room for a new token,
   * `lm.sampling` when a setting is out of its range
   */
  async generate(
    prompts: readonly Int32Array[],
    settings: GenerationSettings,
    signal?: AbortSignal,
  ): Promise<Generated[]> {
    for (const { length } of prompts) {
      if (length === 0 || length >= this.capacity) {
        throw new FairlError(
          "lm.prompt",
          `A prompt of ${length} tokens does not fit into 1 to ${this.capacity - 1}`,
        );
      }
    }
    const sampler = new Sampler(this.config.vocabulary, settings);
    const random = new Random(settings.seed ?? 0, "generate");
    const rows = this.decoding.start(sampler.scale);
    const reader = "read" in rows ? new PromptReader(rows, prompts, this.rows) : undefined;
    const done: Generated[] = [];
    let waiting = 0;
    /** Draws the next token of a text; says whether it goes on. */
    const goesOn = (text: Active, probabilities: Float32Array, offset: number): boolean => {
      const reason = this.#draw(text, sampler, settings, probabilities, offset);
      if (!reason) return true;
      done[text.index] = {
        tokens: Int32Array.from(text.tokens),
        logProbabilities: Float32Array.from(text.logProbabilities),
        reason,
      };
      return false;
    };
    /** The next text that takes a row; one that ends with its first token takes none. */
    const take = async (row: number): Promise<Active | undefined> => {
      while (waiting < prompts.length) {
        const index = waiting++;
        const text: Active = {
          index,
          prompt: prompts[index]!,
          random: random.fork(`${index}`),
          tokens: [],
          logProbabilities: [],
          length: 0,
        };
        if (!reader) return text;
        const read = await reader.take(index);
        text.length = read.length;
        if (!goesOn(text, read.probabilities, 0)) continue;
        reader.rows.put(row, read);
        return text;
      }
      return undefined;
    };
    const active: (Active | undefined)[] = [];
    try {
      for (let text; active.length < this.rows && (text = await take(active.length));) {
        active.push(text);
      }
      while (active.some((text) => text !== undefined)) {
        signal?.throwIfAborted();
        const found = await rows.step(
          Int32Array.from(active, (text) => text ? tokenAt(text) : 0),
          Int32Array.from(active, (text) => text?.length ?? 0),
        );
        // From the end, so that a row that takes an ended one's place has been seen to already.
        for (let row = active.length - 1; row >= 0; row--) {
          const text = active[row];
          if (!text) continue;
          text.length++;
          if (text.length < text.prompt.length) continue;
          if (goesOn(text, found, row * this.config.vocabulary)) continue;
          active[row] = await take(row);
          if (active[row] || !reader) continue;
          const last = active.pop();
          if (row === active.length) continue;
          active[row] = last;
          reader.rows.move(active.length, row);
        }
      }
    } finally {
      rows.dispose();
    }
    return done;
  }

  /** Draws the next token of a text; says why it ends, where it does. */
  #draw(
    text: Active,
    sampler: Sampler,
    { maxTokens, minTokens = 0, stop }: GenerationSettings,
    probabilities: Float32Array,
    offset: number,
  ): Generated["reason"] | undefined {
    const { eos } = this.config;
    const forbidden = text.tokens.length < minTokens ? eos : -1;
    const token = sampler.choose(probabilities, text.random.uniform(), offset, forbidden);
    text.tokens.push(token);
    text.logProbabilities.push(sampler.logProbability);
    if (token === eos) return "eos";
    if (stop?.(text.tokens)) return "stop";
    if (text.tokens.length >= maxTokens || text.length >= this.capacity) return "length";
    return undefined;
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.decoding[Symbol.asyncDispose]();
  }
}

/** Reads prompts some at a time, before their turn. */
class PromptReader {
  #to = 0;
  readonly #read = new Map<string, ReadPrompt>();

  constructor(
    readonly rows: PromptRows,
    private readonly prompts: readonly Int32Array[],
    private readonly count: number,
  ) {}

  /** What was read of a prompt; prompts are asked for in their order. */
  async take(index: number): Promise<ReadPrompt> {
    if (index >= this.#to) await this.#ahead(index);
    return this.#read.get(this.prompts[index]!.join())!;
  }

  /** Reads the next prompts: twice as many as there are rows, those of a length together. */
  async #ahead(from: number): Promise<void> {
    this.#to = Math.min(this.prompts.length, from + 2 * this.count);
    this.#read.clear();
    const apart = new Map<string, Int32Array>();
    for (let at = from; at < this.#to; at++) {
      apart.set(this.prompts[at]!.join(), this.prompts[at]!);
    }
    for (const group of Map.groupBy(apart, ([, { length }]) => length).values()) {
      for (let at = 0; at < group.length; at += this.count) {
        const some = group.slice(at, at + this.count);
        const read = await this.rows.read(some.map(([, prompt]) => prompt));
        some.forEach(([key], place) => this.#read.set(key, read[place]!));
      }
    }
  }
}

function tokenAt({ prompt, tokens, length }: Active): number {
  return length < prompt.length ? prompt[length]! : tokens[length - prompt.length]!;
}
