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

/** Rows of a run. */
const ROWS = 32;
/** Texts are computed with others of about their length, rounded up to one of these. */
const LENGTHS = [16, 32, 64, 128, 256, 512, 1024, 2048];

/**
 * The implicit reward of texts: log p_aligned(text | prompt) - log p_base(text | prompt) in nats, summed
 * over the text's tokens and its end (Rafailov et al. 2023, equation 5, with beta = 1 and without the
 * constant of the prompt). What is beyond the models' context is cut off.
 *
 * @returns one for each text, in their order
 * @throws FairlError `rlhf.tokenizer` when the two models do not share a tokenizer
 */
export async function implicitRewards(
  runtime: Runtime,
  base: LanguageModel,
  aligned: LanguageModel,
  texts: readonly PromptedText[],
  options: { readonly progress?: Progress; readonly signal?: AbortSignal } = {},
): Promise<Float64Array<ArrayBuffer>> {
  refuseOtherTokenizer(base, aligned);
  const { progress = silent, signal } = options;
  const context = Math.min(base.config.context, aligned.config.context);
  const sequences = texts.map((text) => sequenceOf(base, text, context));
  const sizes = sequences.map(({ prompt, written }) => prompt.length + written.tokens.length);
  const buckets = LENGTHS.filter((length) => length < context).concat(context);
  const rewards = new Float64Array(texts.length);
  progress.start("implicit rewards", texts.length, "texts");
  let done = 0;
  for (const [at, length] of buckets.entries()) {
    const own = [...sequences.keys()]
      .filter((row) => sizes[row]! <= length && sizes[row]! > (buckets[at - 1] ?? 0));
    if (own.length === 0) continue;
    const shape = { rows: Math.min(ROWS, own.length), length, maxTokens: length };
    const reading = { ...shape, temperature: 1 };
    await using before = await TokenReader.open(runtime, base.config, base.weights, reading);
    await using after = await TokenReader.open(runtime, aligned.config, aligned.weights, reading);
    for (let from = 0; from < own.length; from += shape.rows) {
      signal?.throwIfAborted();
      const rows = own.slice(from, from + shape.rows);
      const found = await logRatios(rows.map((row) => sequences[row]!), shape, 0, before, after);
      rows.forEach((row, index) => rewards[row] = found[index]!);
      progress.update(done += rows.length);
    }
  }
  progress.end();
  return rewards;
}

/**
 * log p_aligned - log p_base of what was written, summed over its tokens.
 *
 * @param sequences As many as the readers' shape has rows, or fewer
 */
export async function logRatios(
  sequences: readonly Sequence[],
  shape: SequenceShape,
  minTokens: number,
  base: TokenReader,
  aligned: TokenReader,
): Promise<number[]> {
  const inputs = layOut(sequences, shape, minTokens);
  const { log: before } = await base.read(inputs);
  const { log: after } = await aligned.read(inputs);
  return sequences.map((_, row) => {
    let sum = 0;
    for (let at = row * shape.maxTokens; at < (row + 1) * shape.maxTokens; at++) {
      sum += after[at]! - before[at]!;
    }
    return sum;
  });
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
