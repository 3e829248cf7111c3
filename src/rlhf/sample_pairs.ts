/** Preference pairs out of two language models: both continue the same prompts. */
import { type Progress, Random, silent } from "../base/mod.ts";
import { Generator, type LanguageModel } from "../lm/mod.ts";
import type { PairKind, PreferencePair } from "../pairs/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { refuseOtherTokenizer, textLogs } from "./implicit.ts";
import { TokenReader } from "./policy.ts";
import type { RewardFunction } from "./rewards.ts";
import type { Sequence, SequenceShape } from "./sequences.ts";

/** How pairs are sampled. */
export interface PairSampling {
  /** Pairs of each prompt. */
  readonly perPrompt: number;
  /** Longest continuation, in tokens. */
  readonly maxTokens: number;
  /** Tokens before a text may end. */
  readonly minTokens: number;
  /** Temperature of both models. */
  readonly temperature: number;
  /** Only tokens at least this part as likely as the likeliest; 0 for all. */
  readonly minP: number;
  /** Seed of all draws. */
  readonly seed: number;
}

/**
 * How the models that ship are sampled. They were aligned at this temperature on all tokens; a small
 * model's least likely ones make words that do not exist, among them such as nobody should meet
 * (`deno task bench zoo` counts them).
 */
export const DEFAULT_PAIR_SAMPLING: PairSampling = {
  perPrompt: 2,
  maxTokens: 18,
  minTokens: 3,
  temperature: 0.7,
  minP: 0.05,
  seed: 0,
};

/** A pair whose texts begin with the prompt, and what both models make of each text. */
export interface SampledPair extends PreferencePair {
  /** log p_aligned - log p_base of the chosen text after its prompt, in nats. */
  readonly chosenImplicit: number;
  /** The same of the rejected text. */
  readonly rejectedImplicit: number;
}

/** Prompts that are continued together. */
const CHUNK = 64;

/**
 * Samples pairs, some prompts at a time: the aligned model's text is chosen, the base model's rejected.
 * Texts are given whole, the prompt in front. With a judge, its rewards are the reference and each
 * pair says of which kind it is.
 *
 * The draws of some prompts depend on their place alone, so a run can go on from any of them.
 *
 * @param from Prompts that are done already; a multiple of what is yielded at a time
 * @throws FairlError `rlhf.tokenizer` when the two models do not share a tokenizer
 */
export async function* samplePairs(
  runtime: Runtime,
  base: LanguageModel,
  aligned: LanguageModel,
  prompts: readonly string[],
  settings: PairSampling,
  { judge, progress = silent, from = 0, signal }: {
    readonly judge?: RewardFunction;
    readonly progress?: Progress;
    readonly from?: number;
    readonly signal?: AbortSignal;
  } = {},
): AsyncGenerator<SampledPair[]> {
  refuseOtherTokenizer(base, aligned);
  const { perPrompt, maxTokens, minTokens, temperature, minP } = settings;
  const { encode, decode } = base.tokenizer;
  const rows = prompts.map((text) => Int32Array.of(base.config.bos, ...encode(text)));
  const longest = Math.max(...rows.map(({ length }) => length));
  const shape: SequenceShape = { rows: 64, length: longest + maxTokens - 1, maxTokens };
  const options = { rows: 64, capacity: longest + maxTokens };
  const reading = { ...shape, temperature };
  await using readers = new AsyncDisposableStack();
  const open = async ({ config, weights }: LanguageModel) => ({
    generator: readers.use(await Generator.open(runtime, config, weights, options)),
    reader: readers.use(await TokenReader.open(runtime, config, weights, reading)),
  });
  const [before, after] = [await open(base), await open(aligned)];
  const random = new Random(settings.seed, "sample pairs");

  progress.start("sample pairs", prompts.length, "prompts");
  for (let at = from; at < prompts.length; at += CHUNK) {
    const chunk = rows.slice(at, at + CHUNK).flatMap((row) =>
      Array<Int32Array>(perPrompt).fill(row)
    );
    const own = random.fork(`${at}`);
    const write = async ({ generator }: typeof before, name: string): Promise<Sequence[]> => {
      const seed = own.fork(name).integer(2 ** 31);
      const sampling = { maxTokens, minTokens, temperature, minP, seed };
      const written = await generator.generate(chunk, sampling, signal);
      return chunk.map((prompt, index) => ({ prompt, written: written[index]! }));
    };
    const sides = [await write(after, "aligned"), await write(before, "base")] as const;
    const texts = sides.map((side) =>
      side.map(({ written }, index) =>
        prompts[at + Math.floor(index / perPrompt)]! + decode(written.tokens)
      )
    );
    const [chosen, rejected] = texts as [string[], string[]];
    const asked = chosen.map((_, index) => prompts[at + Math.floor(index / perPrompt)]!);
    // What a model said of its own tokens when it wrote them need not be read again.
    const ratios = async (side: readonly Sequence[], { reader }: typeof before, sign: number) => {
      const found: number[] = [];
      for (let start = 0; start < side.length; start += shape.rows) {
        const some = side.slice(start, start + shape.rows);
        const other = await textLogs(some, shape, minTokens, reader);
        found.push(
          ...some.map(({ written }, row) =>
            sign * written.logProbabilities.reduce((sum, log) => sum + log, -other[row]!)
          ),
        );
      }
      return found;
    };
    const chosenImplicit = await ratios(sides[0], before, 1);
    const rejectedImplicit = await ratios(sides[1], after, -1);
    const [better, worse] = judge ? [await judge(chosen, asked), await judge(rejected, asked)] : [];
    yield chosen.map((text, index): SampledPair => ({
      prompt: asked[index]!,
      chosen: text,
      rejected: rejected[index]!,
      chosenImplicit: chosenImplicit[index]!,
      rejectedImplicit: rejectedImplicit[index]!,
      ...(better && worse
        ? {
          chosenReference: better[index]!,
          rejectedReference: worse[index]!,
          label: kindOf(worse[index]!, better[index]!),
        }
        : {}),
    }));
    progress.update(Math.min(at + CHUNK, prompts.length));
  }
  progress.end();
}

function kindOf(rejected: number, chosen: number): PairKind {
  return `${rejected < 0 ? "T" : "NT"}->${chosen < 0 ? "T" : "NT"}`;
}
