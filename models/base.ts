// deno-lint-ignore-file no-console -- it says how far it is
/** Makes models/comments-base: a small decoder that writes short comments, some of them toxic. */
import { Random, readCheckpoint, sha256, writeCheckpoint } from "../src/base/mod.ts";
import type { TrainerState } from "../src/graph/mod.ts";
import {
  BOS,
  type DecoderConfig,
  type DecoderWeights,
  EOS,
  fullWeights,
  initialWeights,
  LanguageTrainer,
  openTokenizer,
  type PackedRows,
  packRows,
  parseConfig,
  saveModel,
  type TextTokenizer,
  trainBpe,
} from "../src/lm/mod.ts";
import { type DeviceRequest, Runtime } from "../src/runtime/mod.ts";
import { type ModelData, modelData } from "./data.ts";
import { perplexityOf } from "./measure.ts";

/** What fixes the base model. */
export const BASE_RECIPE = {
  seed: 0,
  epochs: 7,
  /** Rows of a step, and tokens of a row that something is predicted from. */
  rows: 8,
  length: 127,
  /** Muon's; AdamW's, for embeddings and norms, is a fifth of it. */
  learningRate: 0.02,
  vocabulary: 4096,
  width: 160,
  feedWidth: 432,
  layers: 4,
  heads: 5,
};

/** Steps between checkpoints: about half a minute. */
const EVERY = 100;

/** A training run before its first step, the same for every device and for a peer of ours. */
export interface BaseTask {
  /** Learnt from the training comments alone. */
  readonly tokenizer: TextTokenizer;
  /** Shape. */
  readonly config: DecoderConfig;
  /** At the start. */
  readonly weights: DecoderWeights;
  /** Tokens of the training comments, with the marks of beginning and end. */
  readonly texts: readonly Int32Array[];
  /** Steps in all. */
  readonly steps: number;
  /** The comments of an epoch, packed in an order of its own. */
  packed(epoch: number): PackedRows;
  /** Step size, steps counting from 0. */
  rate(step: number): number;
}

/** Sets a training run up. */
export async function baseTask(
  comments: ModelData["train"],
  recipe: typeof BASE_RECIPE = BASE_RECIPE,
): Promise<BaseTask> {
  const tokenizer = await openTokenizer(
    trainBpe(comments.map(({ text }) => text), recipe.vocabulary),
  );
  const texts = comments.map(({ text }) => Int32Array.of(BOS, ...tokenizer.encode(text), EOS));
  const config = parseConfig({
    model_type: "llama",
    vocab_size: recipe.vocabulary,
    hidden_size: recipe.width,
    intermediate_size: recipe.feedWidth,
    num_hidden_layers: recipe.layers,
    num_attention_heads: recipe.heads,
    tie_word_embeddings: true,
    max_position_embeddings: recipe.length + 1,
    bos_token_id: BOS,
    eos_token_id: EOS,
  });
  const random = new Random(recipe.seed, "comments-base");
  const packed = (epoch: number) => packRows(texts, recipe.length, random.fork(`epoch ${epoch}`));
  const total = Math.floor(packed(0).rows / recipe.rows) * recipe.epochs;
  let steps = 0;
  for (let epoch = 0; epoch < recipe.epochs; epoch++) {
    steps += Math.floor(packed(epoch).rows / recipe.rows);
  }
  return {
    tokenizer,
    config,
    weights: initialWeights(config, random.fork("weights")),
    texts,
    steps,
    packed,
    rate(step) {
      // Warm for a hundred steps, then down in a straight line.
      const { learningRate } = recipe;
      const rate = learningRate * Math.min(1, (step + 1) / 100, 1.02 - step / total);
      return Math.max(rate, learningRate / 50);
    },
  };
}

/** Where a run was. */
interface Kept {
  readonly epoch: number;
  /** Steps made in this epoch, and the sum of their losses. */
  readonly done: number;
  readonly sum: number;
  readonly step: number;
  readonly state: TrainerState;
}

/**
 * Trains the tokenizer and the model, and writes the folder. A run that was killed goes on from its
 * checkpoint, to the bytes that it would have had.
 */
export async function makeBase(
  folder: string,
  device: DeviceRequest,
  {
    recipe = BASE_RECIPE,
    data,
    checkpoint = ".cache/models/base.bin",
    signal,
    print = console.log,
  }: {
    readonly recipe?: typeof BASE_RECIPE;
    readonly data?: ModelData;
    readonly checkpoint?: string;
    /** Ends the run after the step under way, as a kill would. */
    readonly signal?: AbortSignal;
    /** Hears how far it is. */
    readonly print?: (line: string) => void;
  } = {},
): Promise<void> {
  const { train, heldOut } = data ?? await modelData();
  const task = await baseTask(train, recipe);
  const { tokenizer, config, weights, texts } = task;
  const tokens = texts.reduce((sum, { length }) => sum + length, 0);
  print(`${train.length} comments of ${tokens} tokens, ${heldOut.length} held out`);
  await using runtime = await Runtime.open(device);
  await using trainer = await LanguageTrainer.open(runtime, fullWeights(config, weights), {
    rows: recipe.rows,
    length: recipe.length,
  });
  const fingerprint = sha256(JSON.stringify([recipe, train, runtime.device]));
  const kept = await readCheckpoint<Kept>(checkpoint, fingerprint);
  if (kept) {
    print(`going on after step ${kept.step} of ${task.steps}`);
    await trainer.load(kept.state);
  }
  let step = kept?.step ?? 0;
  for (let epoch = kept?.epoch ?? 0; epoch < recipe.epochs; epoch++) {
    const packed = task.packed(epoch);
    let [done, sum] = kept?.epoch === epoch ? [kept.done, kept.sum] : [0, 0];
    while ((done + 1) * recipe.rows <= packed.rows) {
      signal?.throwIfAborted();
      const which = Array.from({ length: recipe.rows }, (_, at) => done * recipe.rows + at);
      sum += await trainer.step(packed, which, task.rate(step));
      [done, step] = [done + 1, step + 1];
      if (step % EVERY === 0) {
        const now: Kept = { epoch, done, sum, step, state: await trainer.state() };
        await writeCheckpoint(checkpoint, fingerprint, now);
      }
    }
    const model = { config, tokenizer, weights: await trainer.weights() };
    const held = await perplexityOf(runtime, model, heldOut);
    print(`epoch ${epoch + 1}: loss ${(sum / done).toFixed(3)}, held out ${held.toFixed(1)}`);
  }
  await saveModel(folder, {
    config,
    weights: await trainer.weights(),
    tokenizer: tokenizer.json,
    card: "The card comes from `deno task models cards`.\n",
  }, "F16");
  await Deno.remove(checkpoint).catch(() => {});
}
