/** Next-token training on packed rows of texts. */
import type { Random } from "../base/mod.ts";
import {
  div,
  maximum,
  mul,
  muon,
  neg,
  type Optimizer,
  Program,
  reduceSum,
  Trainer,
  type Value,
} from "../graph/mod.ts";
import { type HostTensor, type Runtime, tensor } from "../runtime/mod.ts";
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { type DecoderParts, decoderStates, tokenLogProbabilities } from "./decoder.ts";
import { DecoderTrainer } from "./decoder_trainer.ts";
import type { Trainable } from "./trainable.ts";

/** Texts laid side by side in rows of one length. */
export interface PackedRows {
  /** `[rows, length + 1]`: the last token of a row is a target only. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** Which text of the row a token belongs to, from 1; 0 where the row is not filled. */
  readonly texts: Int32Array<ArrayBuffer>;
  /** How many rows. */
  readonly rows: number;
  /** Tokens in a row that something is predicted from. */
  readonly length: number;
}

/**
 * Packs texts into rows, each text whole: longer ones are cut, and a row ends where the next text
 * would not fit.
 *
 * @param texts Tokens of each, with the marks of beginning and end
 * @param length Tokens in a row that something is predicted from
 * @param random Order of the texts; theirs by default
 */
export function packRows(
  texts: readonly Int32Array[],
  length: number,
  random?: Random,
): PackedRows {
  const width = length + 1;
  const order = Int32Array.from(texts.keys());
  random?.shuffle(order);
  const rows: { tokens: Int32Array; texts: Int32Array; used: number; count: number }[] = [];
  // A few rows stay open, so that a short text can fill what a long one left.
  let open: typeof rows = [];
  for (const at of order) {
    const text = texts[at]!.subarray(0, width);
    let row = open.find(({ used }) => used + text.length <= width);
    if (!row) {
      row = { tokens: new Int32Array(width), texts: new Int32Array(width), used: 0, count: 0 };
      rows.push(row);
      open = [...open.slice(-7), row];
    }
    row.tokens.set(text, row.used);
    row.texts.fill(++row.count, row.used, row.used + text.length);
    row.used += text.length;
  }
  const join = (part: "tokens" | "texts") => {
    const whole = new Int32Array(rows.length * width);
    rows.forEach((row, at) => whole.set(row[part], at * width));
    return whole;
  };
  return { tokens: join("tokens"), texts: join("texts"), rows: rows.length, length };
}

/** Settings that a language trainer is compiled for. */
export interface LanguageTrainerOptions {
  /** Rows in a step; with `accumulate` those that are computed at a time. */
  readonly rows: number;
  /** Tokens in a row that something is predicted from. */
  readonly length: number;
  /** How the parameters move; Muon by default. */
  readonly optimizer?: Optimizer;
  /**
   * A step may be of more rows than `rows`: gradients of so many at a time are added up, and memory is
   * taken for these alone. False by default.
   */
  readonly accumulate?: boolean;
}

/**
 * Trains a decoder to predict the next token of packed texts, which do not see each other.
 *
 * @example A decoder learns one sentence by heart
 * ```ts
 * import { assert } from "@std/assert";
 * import { Random } from "../base/mod.ts";
 * import { Runtime } from "../runtime/mod.ts";
 * import { fullWeights, initialWeights, LanguageTrainer, packRows, parseConfig } from "./mod.ts";
 *
 * const config = parseConfig({
 *   model_type: "llama", vocab_size: 8, hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, tie_word_embeddings: true,
 * });
 * const text = Int32Array.of(0, 5, 3, 7, 2, 1);
 * const packed = packRows([text, text], 11);
 * await using runtime = await Runtime.open("wasm");
 * await using trainer = await LanguageTrainer.open(
 *   runtime,
 *   fullWeights(config, initialWeights(config, new Random(0))),
 *   { rows: 1, length: 11 },
 * );
 * let loss = Infinity;
 * for (let step = 0; step < 150; step++) loss = await trainer.step(packed, [0], 0.02);
 * assert(loss < 0.1);
 * ```
 */
export class LanguageTrainer extends DecoderTrainer {
  private constructor(
    trainer: Trainer,
    trainable: Trainable,
    private readonly options: LanguageTrainerOptions,
  ) {
    super(trainer, trainable);
  }

  /** Compiles the step. */
  static async open(
    runtime: Runtime,
    trainable: Trainable,
    options: LanguageTrainerOptions,
  ): Promise<LanguageTrainer> {
    const trainer = await Trainer.open(runtime, {
      parameters: trainable.parameters,
      constants: trainable.constants,
      inputs: batchSpecs(options.rows, options.length),
      loss({ parameters, constants, inputs }) {
        const { sum, count } = textLoss(trainable.parts(parameters, constants), inputs);
        return div(sum, maximum(count, 1));
      },
      optimizer: options.optimizer ?? muon(),
      stepsPerRun: 1,
      clipNorm: 1,
      accumulate: options.accumulate ?? false,
    });
    return new LanguageTrainer(trainer, trainable, options);
  }

  /**
   * One step on some rows.
   *
   * @param packed Rows of the length that was compiled
   * @param which Their indices; fewer than are computed at a time leave the rest empty
   * @returns mean loss of a token in nats, before the step
   */
  async step(packed: PackedRows, which: readonly number[], learningRate: number): Promise<number> {
    const { rows, accumulate } = this.options;
    if (!accumulate) {
      const inputs = batchOf(packed, which, rows);
      const { loss } = await this.trainer.run({ inputs, learningRate });
      return loss[0]!;
    }
    const parts = Array.from({ length: Math.ceil(which.length / rows) }, (_, at) => {
      const inputs = batchOf(packed, which.slice(at * rows, (at + 1) * rows), rows);
      const counts = inputs["counts"]!.data as Float32Array;
      return { inputs, tokens: counts.reduce((sum, count) => sum + count, 0) };
    });
    const total = parts.reduce((sum, { tokens }) => sum + tokens, 0);
    // Each part's loss is a mean over its own tokens.
    const pieces = parts.map(({ inputs, tokens }) => ({ inputs, weight: tokens / total }));
    return await this.trainer.accumulate({ pieces, learningRate });
  }
}

/**
 * Perplexity of packed texts: exp of the mean loss of a token, the end of a text counted.
 *
 * @param rows Rows computed at a time
 */
export async function perplexity(
  runtime: Runtime,
  config: DecoderConfig,
  weights: DecoderWeights,
  packed: PackedRows,
  rows = 16,
): Promise<number> {
  await using program = await Program.open(runtime, {
    constants: weights,
    inputs: batchSpecs(rows, packed.length),
    outputs: ({ constants, inputs }) => ({ ...textLoss({ config, weights: constants }, inputs) }),
  });
  let [sum, count] = [0, 0];
  for (let from = 0; from < packed.rows; from += rows) {
    const which = Array.from({ length: Math.min(rows, packed.rows - from) }, (_, at) => from + at);
    const found = await program.run(batchOf(packed, which, rows));
    sum += Number(found["sum"]!.data[0]);
    count += Number(found["count"]!.data[0]);
  }
  return Math.exp(sum / count);
}

/** What the loss of some packed rows is computed from. */
function batchSpecs(rows: number, length: number) {
  const row = { type: "int32", dims: [rows, length] } as const;
  return {
    tokens: row,
    texts: row,
    targets: { type: "int32", dims: [rows * length] },
    counts: { type: "float32", dims: [rows * length] },
  } as const;
}

/** Summed loss over the tokens that a text goes on with, and how many these are. */
function textLoss(
  parts: DecoderParts,
  { tokens, texts, targets, counts }: Record<string, Value>,
): { sum: Value; count: Value } {
  const states = decoderStates(parts, tokens!, texts!);
  const log = tokenLogProbabilities(parts, states, targets!);
  return { sum: neg(reduceSum(mul(log, counts!))), count: reduceSum(counts!) };
}

function batchOf(
  { tokens, texts, length }: PackedRows,
  which: readonly number[],
  rows: number,
): Record<string, HostTensor> {
  const size = rows * length;
  const [from, own, to] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
  const counts = new Float32Array(size);
  which.forEach((row, index) => {
    for (let at = 0; at < length; at++) {
      const [place, source] = [index * length + at, row * (length + 1) + at];
      from[place] = tokens[source]!;
      own[place] = texts[source]!;
      to[place] = tokens[source + 1]!;
      counts[place] = texts[source]! > 0 && texts[source] === texts[source + 1] ? 1 : 0;
    }
  });
  return {
    tokens: tensor("int32", [rows, length], from),
    texts: tensor("int32", [rows, length], own),
    targets: tensor("int32", [size], to),
    counts: tensor("float32", [size], counts),
  };
}
