/** Generation with a key and value cache: each row goes on by itself, a free one takes the next prompt. */
import { FairlError, Random } from "../base/mod.ts";
import {
  constant,
  equal,
  gather,
  greater,
  Program,
  reshape,
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
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { decoderLogits, rotatedSize, rotation, statesOf } from "./decoder.ts";
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

/** Not yet written, or of the text that was in this row before. */
const HIDDEN = -1e9;

/** A text in the making. */
interface Active {
  readonly index: number;
  readonly prompt: Int32Array;
  readonly random: Random;
  readonly tokens: number[];
  readonly logProbabilities: number[];
  /** Tokens that are in the cache. */
  length: number;
}

/**
 * Continues prompts. A run feeds one token to every row; rows are at places of their own, so prompts
 * of mixed lengths need no padding, and a row whose text has ended takes the next prompt. Keys and
 * values stay on the device where it has memory of its own.
 */
export class Generator implements AsyncDisposable {
  private constructor(
    /** The decoder's shape. */
    readonly config: DecoderConfig,
    private readonly rows: number,
    private readonly capacity: number,
    private readonly program: Program,
    private readonly empty: Readonly<Record<string, HostTensor<"float32">>>,
  ) {}

  /**
   * Compiles the step of a decoder with fixed weights.
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
    const { layers, keyValueHeads, headSize } = config;
    const dims = [rows, keyValueHeads, capacity, headSize];
    const caches = Array.from({ length: layers }, (_, at) => [`keys.${at}`, `values.${at}`]).flat();
    const next = (name: string) => `next.${name}`;
    const row = { type: "int32", dims: [rows] } as const;
    const program = await Program.open(runtime, {
      name: "generate",
      constants: weights,
      inputs: {
        tokens: row,
        places: row,
        ...Object.fromEntries(caches.map((name) => [name, { type: "float32", dims } as const])),
      },
      resident: caches.map(next),
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
              outputs[next(name)] = where(here, own, inputs[name]!);
            return [keep(`keys.${layer}`, keys), keep(`values.${layer}`, values)];
          },
        });
        return { ...outputs, logits: decoderLogits(parts, states) };
      },
    });
    const zeros = tensor("float32", dims, new Float32Array(sizeOf(dims)));
    const empty = Object.fromEntries(caches.map((name) => [name, zeros]));
    return new Generator(config, rows, capacity, program, empty);
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
    const done: Generated[] = [];
    let waiting = 0;
    const take = (): Active | undefined => {
      if (waiting === prompts.length) return undefined;
      const index = waiting++;
      return {
        index,
        prompt: prompts[index]!,
        random: random.fork(`${index}`),
        tokens: [],
        logProbabilities: [],
        length: 0,
      };
    };
    const active = Array.from({ length: this.rows }, take);
    const tokens = new Int32Array(this.rows);
    const places = new Int32Array(this.rows);
    let cache: Record<string, Tensor> = this.empty;
    try {
      while (active.some((text) => text !== undefined)) {
        signal?.throwIfAborted();
        active.forEach((text, row) => {
          tokens[row] = text ? tokenAt(text) : 0;
          places[row] = text ? text.length : 0;
        });
        const { logits, ...state } = await this.program.step({
          tokens: tensor("int32", [this.rows], tokens),
          places: tensor("int32", [this.rows], places),
          ...cache,
        });
        dispose(cache);
        cache = Object.fromEntries(
          Object.entries(state).map(([name, value]) => [name.slice("next.".length), value]),
        );
        const { data } = await hostOf(logits!);
        for (const [row, text] of active.entries()) {
          if (!text) continue;
          text.length++;
          if (text.length < text.prompt.length) continue;
          const reason = this.#draw(text, sampler, settings, data as Float32Array, row);
          if (!reason) continue;
          done[text.index] = {
            tokens: Int32Array.from(text.tokens),
            logProbabilities: Float32Array.from(text.logProbabilities),
            reason,
          };
          active[row] = take();
        }
      }
    } finally {
      dispose(cache);
    }
    return done;
  }

  /** Draws the next token of a text; says why it ends, where it does. */
  #draw(
    text: Active,
    sampler: Sampler,
    { maxTokens, minTokens = 0, stop }: GenerationSettings,
    logits: Float32Array,
    row: number,
  ): Generated["reason"] | undefined {
    const { eos, vocabulary } = this.config;
    const forbidden = text.tokens.length < minTokens ? eos : -1;
    const token = sampler.draw(logits, text.random.uniform(), row * vocabulary, forbidden);
    text.tokens.push(token);
    text.logProbabilities.push(sampler.logProbability);
    if (token === eos) return "eos";
    if (stop?.(text.tokens)) return "stop";
    if (text.tokens.length >= maxTokens || text.length >= this.capacity) return "length";
    return undefined;
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.dispose();
  }
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

function tokenAt({ prompt, tokens, length }: Active): number {
  return length < prompt.length ? prompt[length]! : tokens[length - prompt.length]!;
}

async function hostOf(value: Tensor): Promise<HostTensor> {
  if (!isDeviceTensor(value)) return value;
  const host = await value.download();
  value.dispose();
  return host;
}

function dispose(tensors: Readonly<Record<string, Tensor>>): void {
  for (const value of Object.values(tensors)) if (isDeviceTensor(value)) value.dispose();
}
