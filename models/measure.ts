/** What the shipped models write on prompts that they have not seen, and how well they predict. */
import {
  BOS,
  type DecoderConfig,
  type DecoderWeights,
  EOS,
  type Generated,
  type GenerationSettings,
  Generator,
  type LanguageModel,
  packRows,
  perplexity,
  type TextTokenizer,
} from "../src/lm/mod.ts";
import type { Comment, PairKind } from "../src/pairs/mod.ts";
import type { TextScorer } from "../src/reward/mod.ts";
import { DEFAULT_PAIR_SAMPLING, layOut, textFigures, TokenReader } from "../src/rlhf/mod.ts";
import type { Runtime } from "../src/runtime/mod.ts";

/** Tokens of a packed row. */
const LENGTH = 127;
/** Rows that are computed at a time. */
const ROWS = 64;

/** Perplexity of a token of comments, the end of a comment counted. */
export async function perplexityOf(
  runtime: Runtime,
  { config, weights, tokenizer }: {
    readonly config: DecoderConfig;
    readonly weights: DecoderWeights;
    readonly tokenizer: TextTokenizer;
  },
  comments: readonly Comment[],
): Promise<number> {
  const rows = comments.map(({ text }) => Int32Array.of(BOS, ...tokenizer.encode(text), EOS));
  return await perplexity(runtime, config, weights, packRows(rows, LENGTH));
}

/** One text of a model. */
export interface Written {
  /** What it went on from. */
  readonly prompt: string;
  /** The prompt with what was written after it. */
  readonly text: string;
  /** The tokens of the prompt, and those written. */
  readonly tokens: readonly [prompt: Int32Array, written: Generated];
}

/** How the shipped models are sampled: by `fairl sample` and for pairs. */
export const SHIPPED_SAMPLING = DEFAULT_PAIR_SAMPLING;

/** Continues each prompt once. */
export async function continuations(
  runtime: Runtime,
  { config, weights, tokenizer }: LanguageModel,
  prompts: readonly string[],
  settings: Partial<GenerationSettings> = {},
): Promise<Written[]> {
  const { maxTokens, minTokens, temperature, minP } = SHIPPED_SAMPLING;
  const rows = prompts.map((prompt) => Int32Array.of(config.bos, ...tokenizer.encode(prompt)));
  const capacity = Math.max(...rows.map(({ length }) => length)) + maxTokens;
  await using generator = await Generator.open(runtime, config, weights, { rows: ROWS, capacity });
  const found = await generator.generate(rows, {
    maxTokens,
    minTokens,
    temperature,
    minP,
    ...settings,
  });
  return found.map((written, at) => ({
    prompt: prompts[at]!,
    text: prompts[at]! + tokenizer.decode(written.tokens),
    tokens: [rows[at]!, written],
  }));
}

/** Mean of log p - log p_base over texts, in nats: the k1 estimate of the KL at the temperature. */
export async function klOf(
  runtime: Runtime,
  { config, weights }: LanguageModel,
  texts: readonly Written[],
): Promise<number> {
  const { maxTokens, minTokens, temperature } = SHIPPED_SAMPLING;
  const longest = Math.max(...texts.map(({ tokens: [prompt] }) => prompt.length));
  const shape = { rows: ROWS, length: longest + maxTokens - 1, maxTokens };
  await using reader = await TokenReader.open(runtime, config, weights, { ...shape, temperature });
  let sum = 0;
  for (let from = 0; from < texts.length; from += ROWS) {
    const sequences = texts.slice(from, from + ROWS)
      .map(({ tokens: [prompt, written] }) => ({ prompt, written }));
    const { log } = await reader.read(layOut(sequences, shape, minTokens));
    for (const { written: { logProbabilities } } of sequences) {
      for (const own of logProbabilities) sum += own;
    }
    for (const base of log) sum -= base;
  }
  return sum / texts.length;
}

/** Figures of one model's texts. */
export interface WritingFigures extends ReturnType<typeof textFigures> {
  /** Share of texts below 0 under the reward. */
  readonly toxicity: number;
}

/** Figures of both models on the same prompts. */
export interface ZooFigures {
  /** Texts of each. */
  readonly texts: number;
  /** The base model's. */
  readonly base: WritingFigures;
  /** The aligned model's. */
  readonly aligned: WritingFigures;
  /** Shares of the pairs, base -> aligned. */
  readonly kinds: Readonly<Record<PairKind, number>>;
  /** Of the aligned model to the base, in nats a text. */
  readonly kl: number;
  /** Perplexity of a token of all held-out comments under the base model. */
  readonly perplexity: number;
  /** Perplexity of a token of the neutral ones. */
  readonly neutral: { readonly base: number; readonly aligned: number };
}

/** What both models wrote after the same prompts, and the figures of it. */
export interface ZooMeasures {
  /** The figures. */
  readonly figures: ZooFigures;
  /** The texts. */
  readonly written: Readonly<Record<Side, readonly Written[]>>;
}

/** One of the two models. */
export type Side = "base" | "aligned";

/**
 * Lets both models continue prompts as they are shipped, and compares. The KL is that of the policies
 * themselves, so it is estimated on texts that are drawn without min-p.
 */
export async function measureZoo(
  runtime: Runtime,
  models: Readonly<Record<Side, LanguageModel>>,
  prompts: readonly string[],
  heldOut: readonly Comment[],
  { score }: TextScorer,
): Promise<ZooMeasures> {
  const written = {
    base: await continuations(runtime, models.base, prompts, { seed: 1 }),
    aligned: await continuations(runtime, models.aligned, prompts, { seed: 2 }),
  };
  const free = await continuations(runtime, models.aligned, prompts, { seed: 3, minP: 0 });
  const rewards = {
    base: await score(written.base.map(({ text }) => text)),
    aligned: await score(written.aligned.map(({ text }) => text)),
  };
  const share = (of: (at: number) => boolean) =>
    prompts.reduce((sum, _, at) => sum + (of(at) ? 1 : 0), 0) / prompts.length;
  const writing = (side: Side): WritingFigures => ({
    toxicity: share((at) => rewards[side][at]! < 0),
    ...textFigures(written[side].map(({ prompt, text }) => text.slice(prompt.length))),
  });
  const kind = (before: boolean, after: boolean) =>
    share((at) => rewards.base[at]! < 0 === before && rewards.aligned[at]! < 0 === after);
  const neutral = heldOut.filter(({ toxic }) => !toxic);
  const figures = {
    texts: prompts.length,
    base: writing("base"),
    aligned: writing("aligned"),
    kinds: {
      "T->NT": kind(true, false),
      "T->T": kind(true, true),
      "NT->NT": kind(false, false),
      "NT->T": kind(false, true),
    },
    kl: await klOf(runtime, models.base, free),
    perplexity: await perplexityOf(runtime, models.base, heldOut),
    neutral: {
      base: await perplexityOf(runtime, models.base, neutral),
      aligned: await perplexityOf(runtime, models.aligned, neutral),
    },
  };
  return { figures, written };
}

/**
 * Words that end in what a model wrote, without marks around them. Pieces with digits or signs inside
 * are no words, and the last word of a text that was cut at its greatest length may be half of one.
 */
export function writtenWords({ prompt, text, tokens: [, { reason }] }: Written): string[] {
  const before = prompt.split(" ").length - (text[prompt.length] === " " ? 0 : 1);
  const pieces = text.split(" ").slice(before, reason === "length" ? -1 : undefined);
  return wordsOf(pieces);
}

/** Words among pieces of text, in lower case. */
export function wordsOf(pieces: readonly string[]): string[] {
  return pieces
    .map((piece) => piece.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, ""))
    .filter((piece) => /^\p{L}+(?:'\p{L}+)*$/u.test(piece));
}
