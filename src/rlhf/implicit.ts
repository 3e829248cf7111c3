/** The implicit reward of an alignment: what the two models themselves say of a text. */
import { FairlError, type Progress, silent } from "../base/mod.ts";
import type { Generated, LanguageModel } from "../lm/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { TokenReader } from "./policy.ts";
import { layOut, type Sequence, type SequenceShape } from "./sequences.ts";

/** A text after its prompt. */
export interface PromptedText {
  /** What it answers; empty where it stands alone. */
  readonly prompt: string;
  /** The text; it may begin with its prompt. */
  readonly text: string;
}

/**
 * Refuses two models whose tokens are not the same.
 *
 * @throws FairlError `rlhf.tokenizer`
 */
export function refuseOtherTokenizer(base: LanguageModel, aligned: LanguageModel): void {
  if (JSON.stringify(base.tokenizer.json) === JSON.stringify(aligned.tokenizer.json)) return;
  throw new FairlError("rlhf.tokenizer", `${base.name} and ${aligned.name} have other tokenizers`);
}

/** Rows of a run of short texts. */
const ROWS = 32;
/** Texts are computed with others of about their length, rounded up to one of these. */
const LENGTHS = [16, 32, 64, 128, 256, 512, 1024, 2048];

/**
 * The implicit reward of texts: log p_aligned(text | prompt) - log p_base(text | prompt) in nats, summed
 * over the text's tokens and its end (Rafailov et al. 2023, equation 5, with beta = 1 and without the
 * constant of the prompt). What is beyond the models' context is cut off.
 */
export class ImplicitReward implements AsyncDisposable {
  readonly #readers = new Map<number, Promise<readonly [TokenReader, TokenReader]>>();
  readonly #lengths: readonly number[];

  private constructor(
    private readonly runtime: Runtime,
    private readonly base: LanguageModel,
    private readonly aligned: LanguageModel,
  ) {
    const context = Math.min(base.config.context, aligned.config.context);
    this.#lengths = LENGTHS.filter((length) => length < context).concat(context);
  }

  /**
   * Takes the two models.
   *
   * @throws FairlError `rlhf.tokenizer` when they do not share a tokenizer
   */
  static open(runtime: Runtime, base: LanguageModel, aligned: LanguageModel): ImplicitReward {
    refuseOtherTokenizer(base, aligned);
    return new ImplicitReward(runtime, base, aligned);
  }

  /** Rewards of texts, in their order. */
  async score(
    texts: readonly PromptedText[],
    options: { readonly progress?: Progress; readonly signal?: AbortSignal } = {},
  ): Promise<Float64Array<ArrayBuffer>> {
    const { progress = silent, signal } = options;
    const sequences = texts.map((text) => sequenceOf(this.base, text, this.#lengths.at(-1)!));
    const sizes = sequences.map(({ prompt, written }) => prompt.length + written.tokens.length);
    const rewards = new Float64Array(texts.length);
    progress.start("implicit rewards", texts.length, "texts");
    let done = 0;
    for (const [at, length] of this.#lengths.entries()) {
      const own = [...sequences.keys()]
        .filter((row) => sizes[row]! <= length && sizes[row]! > (this.#lengths[at - 1] ?? 0));
      if (own.length === 0) continue;
      const [before, after] = await this.#reader(length);
      const shape = shapeOf(length);
      for (let from = 0; from < own.length; from += shape.rows) {
        signal?.throwIfAborted();
        const rows = own.slice(from, from + shape.rows);
        const some = rows.map((row) => sequences[row]!);
        const base = await textLogs(some, shape, 0, before);
        const aligned = await textLogs(some, shape, 0, after);
        rows.forEach((row, index) => rewards[row] = aligned[index]! - base[index]!);
        progress.update(done += rows.length);
      }
    }
    progress.end();
    return rewards;
  }

  /** Releases the sessions. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#readers.values()) {
      for (const reader of await pair) await reader[Symbol.asyncDispose]();
    }
  }

  #reader(length: number): Promise<readonly [TokenReader, TokenReader]> {
    let pair = this.#readers.get(length);
    if (!pair) {
      const open = ({ config, weights }: LanguageModel) =>
        TokenReader.open(this.runtime, config, weights, { ...shapeOf(length), temperature: 1 });
      this.#readers.set(
        length,
        pair = (async () => [await open(this.base), await open(this.aligned)] as const)(),
      );
    }
    return pair;
  }
}

/** Fewer rows of long texts: a run keeps a score for each token of the vocabulary. */
function shapeOf(length: number): SequenceShape {
  return { rows: Math.max(1, Math.min(ROWS, ROWS * 64 / length)), length, maxTokens: length };
}

/**
 * log p of what was written, summed over its tokens.
 *
 * @param sequences As many as the reader's shape has rows, or fewer
 */
export async function textLogs(
  sequences: readonly Sequence[],
  shape: SequenceShape,
  minTokens: number,
  reader: TokenReader,
): Promise<number[]> {
  const { log } = await reader.read(layOut(sequences, shape, minTokens));
  return sequences.map((_, row) =>
    log.subarray(row * shape.maxTokens, (row + 1) * shape.maxTokens)
      .reduce((sum, one) => sum + one, 0)
  );
}

function sequenceOf(
  { tokenizer, config }: LanguageModel,
  { prompt, text }: PromptedText,
  context: number,
): Sequence {
  const rest = text.startsWith(prompt) ? text.slice(prompt.length) : text;
  const before = Int32Array.of(config.bos, ...tokenizer.encode(prompt)).slice(0, context - 1);
  const tokens = Int32Array.of(...tokenizer.encode(rest), config.eos)
    .slice(0, context - before.length);
  const written: Generated = {
    tokens,
    logProbabilities: new Float32Array(tokens.length),
    reason: "eos",
  };
  return { prompt: before, written };
}
