/** Aligns a language model with a reward: RLOO or GRPO against a frozen reference. */
import { join } from "@std/path";
import { deserialize, serialize } from "node:v8";
import { FairlError, type Progress, Random, sha256, silent, writeFileAtomic } from "../base/mod.ts";
import type { TrainerState } from "../graph/mod.ts";
import {
  type DecoderWeights,
  fullWeights,
  Generator,
  type LanguageModel,
  type LoraSettings,
  loraWeights,
} from "../lm/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { groupNormalised, leaveOneOut } from "./advantages.ts";
import { PolicyTrainer, TokenReader } from "./policy.ts";
import { layOut, perToken, type Sequence, type SequenceShape } from "./sequences.ts";
import { collapse, type EpochLog, textFigures } from "./watch.ts";

/** One reward for each text: a prompt with what was written after it. */
export type TextReward = (texts: readonly string[]) => Promise<ArrayLike<number>>;

/** Ways to turn rewards into steps. */
export const ALGORITHMS = ["rloo", "grpo"] as const;
/** One of {@linkcode ALGORITHMS}. */
export type Algorithm = typeof ALGORITHMS[number];

/** Settings of an alignment. */
export interface AlignmentSettings {
  /** RLOO (Ahmadian et al. 2024) or GRPO (Shao et al. 2024). */
  readonly algorithm: Algorithm;
  /** Batches of prompts. */
  readonly epochs: number;
  /** Prompts in a batch. */
  readonly prompts: number;
  /** Continuations of a prompt, at least 2. */
  readonly group: number;
  /** Longest continuation, in tokens. */
  readonly maxTokens: number;
  /** Tokens before a text may end; without it short texts pay. */
  readonly minTokens: number;
  /** Temperature of sampling. */
  readonly temperature: number;
  /** Step size. */
  readonly learningRate: number;
  /** Coefficient of the KL to the reference: in the reward for RLOO, in the loss for GRPO. */
  readonly beta: number;
  /** KL in nats a text that beta is steered to (Ziegler et al. 2019, section 2.2); RLOO only. */
  readonly targetKl?: number;
  /** Taken off the reward of a text for each token that it is shorter than `fullLength`. */
  readonly shortPenalty: number;
  /** See `shortPenalty`. */
  readonly fullLength: number;
  /** Adapters are trained instead of the whole weights. */
  readonly lora?: LoraSettings;
  /** Prompts, draws and adapters. */
  readonly seed: number;
}

/** Settings that were measured to work for the small models that ship (METHOD.md's last section). */
export const DEFAULT_ALIGNMENT: AlignmentSettings = {
  algorithm: "rloo",
  epochs: 50,
  prompts: 32,
  group: 4,
  maxTokens: 18,
  minTokens: 3,
  temperature: 0.7,
  learningRate: 3e-4,
  beta: 0.1,
  shortPenalty: 0.1,
  fullLength: 8,
  seed: 0,
};

/** What an alignment may use beside its settings. */
export interface AlignmentTools {
  /** Says how toxic texts are, below 0 for toxic; it is watched and not trained on. */
  readonly judge?: TextReward;
  /** Told of every epoch. */
  readonly progress?: Progress;
  /** Hears the figures of every epoch. */
  onEpoch?(log: EpochLog): void;
  /** Ends the run after the epoch under way. */
  readonly signal?: AbortSignal;
  /** A folder for checkpoints: a run in the same folder with the same settings goes on from the last. */
  readonly folder?: string;
  /** Epochs between checkpoints; 10 by default. */
  readonly every?: number;
}

/** An aligned model. */
export interface Alignment {
  /** Its weights, adapters merged. */
  readonly weights: DecoderWeights;
  /** Figures of every epoch, the reference's first. */
  readonly log: readonly EpochLog[];
  /** Why it stopped before its last epoch. */
  readonly stopped?: string;
}

/** What a checkpoint holds. */
interface Checkpoint {
  readonly epoch: number;
  readonly beta: number;
  readonly log: EpochLog[];
  readonly state: TrainerState;
}

/**
 * Trains a policy that starts as a copy of the model. Each epoch it continues some prompts `group`
 * times each, gets a reward for each text and moves towards what was better than its prompt's others.
 *
 * One seed, one device and the same settings give the same bytes, in one go or resumed.
 *
 * @param prompts Beginnings of texts
 * @throws FairlError `rlhf.prompts` when there are none
 */
export async function align(
  runtime: Runtime,
  model: LanguageModel,
  reward: TextReward,
  prompts: readonly string[],
  settings: AlignmentSettings,
  tools: AlignmentTools = {},
): Promise<Alignment> {
  const { progress = silent, signal, folder, every = 10 } = tools;
  if (prompts.length === 0) throw new FairlError("rlhf.prompts", "There is no prompt to continue");
  const { config, tokenizer } = model;
  const rows = prompts.map((text) => Int32Array.of(config.bos, ...tokenizer.encode(text)));
  const longest = Math.max(...rows.map(({ length }) => length));
  const { maxTokens, minTokens, temperature, group } = settings;
  const shape: SequenceShape = {
    rows: settings.prompts * group,
    length: longest + maxTokens - 1,
    maxTokens,
  };
  const trainable = settings.lora
    ? loraWeights(config, model.weights, settings.lora)
    : fullWeights(config, model.weights);
  await using trainer = await PolicyTrainer.open(runtime, trainable, {
    ...shape,
    temperature,
    clip: 0.2,
    klInLoss: settings.algorithm === "grpo" ? settings.beta : 0,
  });
  await using reference = await TokenReader.open(runtime, config, model.weights, {
    ...shape,
    temperature,
  });

  const path = folder === undefined ? undefined : join(folder, "checkpoint.bin");
  const fingerprint = sha256(JSON.stringify([model.hash, settings, prompts, runtime.device]));
  const kept = path === undefined ? undefined : await readCheckpoint(path, fingerprint);
  const log: EpochLog[] = kept?.log ?? [];
  let beta = kept?.beta ?? settings.beta;
  if (kept) await trainer.load(kept.state);
  const random = new Random(settings.seed, "align");
  let stopped: string | undefined;

  progress.start("align", settings.epochs, "epochs");
  // One more than is trained: the last one looks at what came out.
  for (let epoch = log.length; epoch <= settings.epochs && !stopped; epoch++) {
    const own = random.fork(`epoch ${epoch}`);
    const chosen = Array.from({ length: settings.prompts }, () => own.integer(rows.length));
    const asked = chosen.flatMap((at) => Array<number>(group).fill(at));
    const weights = await trainer.weights();
    const sequences = await continued(
      runtime,
      model,
      weights,
      asked.map((at) => rows[at]!),
      shape,
      {
        maxTokens,
        minTokens,
        temperature,
        seed: own.integer(2 ** 31),
      },
    );
    const written = sequences.map(({ written }) => tokenizer.decode(written.tokens));
    const texts = written.map((text, at) => prompts[asked[at]!] + text);
    const rewards = await reward(texts);
    const inputs = layOut(sequences, shape, minTokens);
    const before = await reference.read(inputs);
    const kls = sequences.map(({ written: { logProbabilities } }, row) =>
      logProbabilities.reduce((sum, log, at) => sum + log - before[row * maxTokens + at]!, 0)
    );
    const mean = (values: ArrayLike<number>) =>
      Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;
    const judged = await tools.judge?.(texts);
    const logs = sequences.flatMap(({ written }) => [...written.logProbabilities]);
    const now: EpochLog = {
      epoch,
      reward: mean(rewards),
      ...(judged ? { toxicity: mean(Array.from(judged, (value) => value < 0 ? 1 : 0)) } : {}),
      kl: mean(kls),
      entropy: -mean(logs),
      ...textFigures(written),
      beta,
    };
    log.push(now);
    tools.onEpoch?.(now);
    progress.update(epoch);
    stopped = collapse(log[0]!, now);
    if (!stopped && epoch < settings.epochs) {
      const scored = sequences.map(({ written: { tokens } }, row) =>
        rewards[row]! - (settings.algorithm === "rloo" ? beta * kls[row]! : 0) -
        settings.shortPenalty * Math.max(0, settings.fullLength - tokens.length)
      );
      const advantages = settings.algorithm === "rloo"
        ? leaveOneOut(scored, group)
        : groupNormalised(scored, group);
      await trainer.step({
        ...inputs,
        advantages: perToken(sequences, shape, (row) => advantages[row]!),
        writtenLog: perToken(
          sequences,
          shape,
          (row, at) => sequences[row]!.written.logProbabilities[at]!,
        ),
        referenceLog: perToken(sequences, shape, (row, at) => before[row * maxTokens + at]!),
      }, settings.learningRate);
      if (settings.targetKl !== undefined) {
        const off = Math.max(-0.2, Math.min(0.2, now.kl / settings.targetKl - 1));
        beta *= 1 + 0.1 * off;
      }
    }
    // Its step is made, so that a later run can go on behind it.
    if (signal?.aborted) stopped ??= "it was told to stop";
    if (path !== undefined && (epoch % every === 0 || stopped || epoch === settings.epochs)) {
      await writeCheckpoint(path, fingerprint, { epoch, beta, log, state: await trainer.state() });
    }
  }
  progress.end();
  return { weights: await trainer.weights(), log, ...(stopped ? { stopped } : {}) };
}

async function continued(
  runtime: Runtime,
  { config }: LanguageModel,
  weights: DecoderWeights,
  prompts: readonly Int32Array[],
  shape: SequenceShape,
  settings: Parameters<Generator["generate"]>[1],
): Promise<Sequence[]> {
  await using generator = await Generator.open(runtime, config, weights, {
    rows: Math.min(64, shape.rows),
    capacity: shape.length + 1,
  });
  const written = await generator.generate(prompts, settings);
  return prompts.map((prompt, at) => ({ prompt, written: written[at]! }));
}

/** Length of a SHA-256 in hexadecimal. */
const DIGEST = 64;

async function writeCheckpoint(
  path: string,
  fingerprint: string,
  checkpoint: Checkpoint,
): Promise<void> {
  const body = serialize({ fingerprint, checkpoint });
  const whole = new Uint8Array(DIGEST + body.length);
  whole.set(new TextEncoder().encode(sha256(body)));
  whole.set(body, DIGEST);
  await writeFileAtomic(path, whole);
}

async function readCheckpoint(path: string, fingerprint: string): Promise<Checkpoint | undefined> {
  let whole: Uint8Array;
  try {
    whole = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const body = whole.subarray(DIGEST);
  // A damaged file, or one of another run, is no place to go on from.
  if (new TextDecoder().decode(whole.subarray(0, DIGEST)) !== sha256(body)) return undefined;
  const kept = deserialize(body) as { fingerprint: string; checkpoint: Checkpoint };
  return kept.fingerprint === fingerprint ? kept.checkpoint : undefined;
}
