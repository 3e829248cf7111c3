/** Aligns a language model with a reward or with pairs, held near a frozen reference. */
import { join } from "@std/path";
import {
  FairlError,
  type Progress,
  Random,
  readCheckpoint,
  sha256,
  silent,
  writeCheckpoint,
} from "../base/mod.ts";
import type { TrainerState } from "../graph/mod.ts";
import { type DecoderWeights, fullWeights, type LanguageModel, loraWeights } from "../lm/mod.ts";
import type { PreferencePair } from "../pairs/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { type Learner, openLearner } from "./learners.ts";
import { type RewardFunction, standardised } from "./rewards.ts";
import { Rollouts } from "./rollouts.ts";
import type { AlignmentSettings } from "./settings.ts";
import { collapse, type EpochLog, textFigures } from "./watch.ts";

/** What an alignment may use beside its settings. */
export interface AlignmentTools {
  /** Says how toxic texts are, below 0 for toxic; it is watched and not trained on. */
  readonly judge?: RewardFunction;
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
  /** What was trained: with LoRA the adapters alone. */
  readonly parameters: DecoderWeights;
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
  readonly more: unknown;
}

/** Batches of the model's own texts that a reward's mean and deviation are taken over. */
const KNOWN_BATCHES = 4;

/**
 * Trains a policy that starts as a copy of the model. Each epoch it continues some prompts `group`
 * times each, gets a reward for each text and moves towards what was better than expected; with DPO it
 * learns from pairs, and what it writes is only watched.
 *
 * One seed, one device and the same settings give the same bytes, in one go or resumed.
 *
 * @param goal A reward of texts, or preference pairs for DPO
 * @param prompts Beginnings of texts
 * @throws FairlError `rlhf.prompts` when there are none, `rlhf.goal` when the algorithm takes the other
 * kind of goal, `rlhf.reward` when a reward is not a number for each text
 */
export async function align(
  runtime: Runtime,
  model: LanguageModel,
  goal: RewardFunction | readonly PreferencePair[],
  prompts: readonly string[],
  settings: AlignmentSettings,
  tools: AlignmentTools = {},
): Promise<Alignment> {
  const { progress = silent, signal, folder, every = 10 } = tools;
  if (prompts.length === 0) throw new FairlError("rlhf.prompts", "There is no prompt to continue");
  const { algorithm, epochs, lora } = settings;
  if ((algorithm === "dpo") !== (typeof goal !== "function")) {
    const takes = algorithm === "dpo" ? "preference pairs" : "a reward";
    throw new FairlError("rlhf.goal", `${algorithm} learns from ${takes}`);
  }
  const trainable = lora
    ? loraWeights(model.config, model.weights, lora)
    : fullWeights(model.config, model.weights);
  const random = new Random(settings.seed, "align");
  await using open = new AsyncDisposableStack();
  const rollouts = open.use(
    await Rollouts.open(runtime, model, prompts, settings, { states: algorithm === "ppo" }),
  );
  const scored = typeof goal !== "function"
    ? undefined
    : settings.cap === undefined
    ? goal
    : await overOwnTexts(rollouts, model, goal, settings.cap, random.fork("known"));
  const learner: Learner = open.use(
    typeof goal === "function"
      ? await openLearner(runtime, trainable, rollouts.shape, settings)
      : await openLearner(runtime, trainable, rollouts.shape, settings, { model, pairs: goal }),
  );

  const path = folder === undefined ? undefined : join(folder, "checkpoint.bin");
  const fingerprint = sha256(JSON.stringify([
    model.hash,
    // A longer run goes on from a shorter one.
    { ...settings, epochs: 0 },
    prompts,
    typeof goal === "function" ? "" : goal,
    runtime.device,
  ]));
  const kept = path && await readCheckpoint<Checkpoint>(path, fingerprint);
  const log: EpochLog[] = kept ? kept.log : [];
  let beta = kept ? kept.beta : settings.beta;
  if (kept) await learner.load(kept.state, kept.more);
  let stopped: string | undefined;

  progress.start("align", epochs, "epochs");
  // One more than is trained: the last one looks at what came out.
  for (let epoch = log.length; epoch <= epochs && !stopped; epoch++) {
    const own = random.fork(`epoch ${epoch}`);
    const rollout = await rollouts.draw(await learner.weights(), own);
    const { texts, kls, sequences } = rollout;
    const rewards = scored ? checked(await scored(texts, rollout.prompts), texts.length) : [];
    const judged = await tools.judge?.(texts, rollout.prompts);
    const logs = sequences.flatMap(({ written }) => [...written.logProbabilities]);
    const now: EpochLog = {
      epoch,
      ...(scored ? { reward: mean(rewards) } : {}),
      ...(judged ? { toxicity: mean(Array.from(judged, (value) => value < 0 ? 1 : 0)) } : {}),
      kl: mean(kls),
      entropy: -mean(logs),
      ...textFigures(rollout.written),
      beta,
    };
    log.push(now);
    tools.onEpoch?.(now);
    progress.update(
      epoch,
      `${now.reward === undefined ? "" : `reward ${now.reward.toFixed(2)}, `}KL ${
        now.kl.toFixed(2)
      }`,
    );
    stopped = collapse(log[0]!, now);
    if (!stopped && epoch < epochs) {
      const paid = Array.from(
        rewards,
        (reward, row) =>
          reward -
          settings.shortPenalty *
            Math.max(0, settings.fullLength - sequences[row]!.written.tokens.length),
      );
      await learner.learn(rollout, paid, beta, own.fork("learn"));
      if (settings.targetKl !== undefined) {
        const off = Math.max(-0.2, Math.min(0.2, now.kl / settings.targetKl - 1));
        beta *= 1 + 0.1 * off;
      }
    }
    // Its step is made, so that a later run can go on behind it.
    if (signal?.aborted) stopped ??= "it was told to stop";
    // After the last epoch no step is made: nothing could go on from there as if it had been.
    if (path && epoch < epochs && (epoch % every === 0 || stopped)) {
      const { state, more } = await learner.state();
      const checkpoint: Checkpoint = { epoch, beta, log, state, more };
      await writeCheckpoint(path, fingerprint, checkpoint);
    }
  }
  progress.end();
  return {
    weights: await learner.weights(),
    parameters: await learner.parameters(),
    log,
    ...(stopped ? { stopped } : {}),
  };
}

/** A reward in deviations over what the model itself writes. */
async function overOwnTexts(
  rollouts: Rollouts,
  model: LanguageModel,
  reward: RewardFunction,
  cap: number,
  random: Random,
): Promise<RewardFunction> {
  const known: number[] = [];
  for (let batch = 0; batch < KNOWN_BATCHES; batch++) {
    const { texts, prompts } = await rollouts.draw(model.weights, random.fork(`${batch}`));
    known.push(...checked(await reward(texts, prompts), texts.length));
  }
  return standardised(reward, known, cap);
}

function checked(rewards: ArrayLike<number>, count: number): number[] {
  const values = Array.from(rewards);
  if (values.length !== count || values.some((value) => !Number.isFinite(value))) {
    throw new FairlError(
      "rlhf.reward",
      `The reward gave ${values.filter(Number.isFinite).length} numbers for ${count} texts`,
    );
  }
  return values;
}

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;
}
