/** What a policy writes, and what the frozen reference says of it. */
import type { Random } from "../base/mod.ts";
import { type DecoderWeights, Generator, type LanguageModel } from "../lm/mod.ts";
import type { HostTensor, Runtime } from "../runtime/mod.ts";
import { TokenReader } from "./policy.ts";
import {
  layOut,
  microBatches,
  type Sequence,
  type SequenceInput,
  type SequenceShape,
} from "./sequences.ts";

/** How a policy writes. */
export interface RolloutSettings {
  /** Prompts in a batch. */
  readonly prompts: number;
  /** Continuations of a prompt. */
  readonly group: number;
  /** Longest continuation, in tokens. */
  readonly maxTokens: number;
  /** Tokens before a text may end; without it short texts pay. */
  readonly minTokens: number;
  /** Temperature of sampling. */
  readonly temperature: number;
  /** Texts that are read at a time; all by default. */
  readonly microBatch?: number;
}

/** A batch of texts, those of a prompt side by side. */
export interface Rollout {
  /** The prompt of each text. */
  readonly prompts: readonly string[];
  /** What was written after it. */
  readonly written: readonly string[];
  /** Both together. */
  readonly texts: readonly string[];
  /** The tokens. */
  readonly sequences: readonly Sequence[];
  /** The tokens as a step is fed them, a micro-batch at a time. */
  readonly inputs: readonly Record<SequenceInput, HostTensor>[];
  /** log p of each written token under the reference, `[rows * maxTokens]`. */
  readonly reference: Float32Array;
  /** The reference's states before each written token, `[rows * maxTokens, width]`, where wanted. */
  readonly states?: Float32Array;
  /** log p - log p_reference of each text, summed over its tokens: the k1 estimate of its KL. */
  readonly kls: readonly number[];
}

/** Draws rollouts of one model's descendants. */
export class Rollouts implements AsyncDisposable {
  private constructor(
    private readonly runtime: Runtime,
    private readonly model: LanguageModel,
    private readonly prompts: readonly string[],
    private readonly rows: readonly Int32Array[],
    private readonly settings: RolloutSettings,
    private readonly reader: TokenReader,
    /** What a step is compiled for. */
    readonly shape: SequenceShape,
  ) {}

  /** Compiles the reference. */
  static async open(
    runtime: Runtime,
    model: LanguageModel,
    prompts: readonly string[],
    settings: RolloutSettings,
    options: { readonly states?: boolean } = {},
  ): Promise<Rollouts> {
    const { config, tokenizer, weights } = model;
    const rows = prompts.map((text) => Int32Array.of(config.bos, ...tokenizer.encode(text)));
    const longest = rows.reduce((most, { length }) => Math.max(most, length), 0);
    const { maxTokens, temperature } = settings;
    const texts = settings.prompts * settings.group;
    const shape: SequenceShape = {
      rows: Math.min(settings.microBatch ?? texts, texts),
      length: longest + maxTokens - 1,
      maxTokens,
    };
    const reading = { ...shape, temperature, states: options.states ?? false };
    const reader = await TokenReader.open(runtime, config, weights, reading);
    return new Rollouts(runtime, model, prompts, rows, settings, reader, shape);
  }

  /** Lets a policy continue some of the prompts. */
  async draw(weights: DecoderWeights, random: Random): Promise<Rollout> {
    const { prompts: count, group, maxTokens, minTokens, temperature } = this.settings;
    const { config, tokenizer } = this.model;
    const chosen = Array.from({ length: count }, () => random.integer(this.rows.length));
    const asked = chosen.flatMap((at) => Array<number>(group).fill(at));
    const seed = random.integer(2 ** 31);
    await using generator = await Generator.open(this.runtime, config, weights, {
      rows: Math.min(64, count * group),
      capacity: this.shape.length + 1,
    });
    const found = await generator.generate(
      asked.map((at) => this.rows[at]!),
      { maxTokens, minTokens, temperature, seed },
    );
    const sequences = found.map((written, at) => ({ prompt: this.rows[asked[at]!]!, written }));
    const inputs = microBatches(sequences, this.shape)
      .map((own) => layOut(own, this.shape, minTokens));
    const read = [];
    for (const own of inputs) read.push(await this.reader.read(own));
    const reference = joined(read.map(({ log }) => log));
    const states = read.flatMap(({ states }) => states ?? []);
    const prompts = asked.map((at) => this.prompts[at]!);
    const written = found.map(({ tokens }) => tokenizer.decode(tokens));
    return {
      prompts,
      written,
      texts: written.map((text, at) => prompts[at]! + text),
      sequences,
      inputs,
      reference,
      ...(states.length > 0 ? { states: joined(states) } : {}),
      kls: found.map(({ logProbabilities }, row) =>
        logProbabilities.reduce((sum, log, at) => sum + log - reference[row * maxTokens + at]!, 0)
      ),
    };
  }

  /** Releases the reference. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader[Symbol.asyncDispose]();
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
