/** From a batch of texts to a step of the policy, one way for each algorithm. */
import type { Random } from "../base/mod.ts";
import type { TrainerState } from "../graph/mod.ts";
import type { DecoderWeights, LanguageModel, Trainable } from "../lm/mod.ts";
import type { PreferencePair } from "../pairs/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { groupNormalised, leaveOneOut, whitened } from "./advantages.ts";
import { PreferenceTrainer } from "./dpo.ts";
import { PolicyTrainer } from "./policy.ts";
import type { Rollout } from "./rollouts.ts";
import { microBatches, perToken, type SequenceShape } from "./sequences.ts";
import type { AlignmentSettings } from "./settings.ts";
import { generalisedAdvantages, ValueHead, type ValueState } from "./value.ts";

/** Moves a policy. */
export interface Learner extends AsyncDisposable {
  /**
   * Learns from what the policy wrote.
   *
   * @param rewards Of each text
   * @param beta Coefficient of the KL to the reference
   * @param random Its own draws
   */
  learn(rollout: Rollout, rewards: readonly number[], beta: number, random: Random): Promise<void>;
  /** The policy's weights as they are now. */
  weights(): Promise<DecoderWeights>;
  /** What is trained, as it is now. */
  parameters(): Promise<DecoderWeights>;
  /** Everything that the next step depends on. */
  state(): Promise<{ state: TrainerState; more?: unknown }>;
  /** Goes on from a state. */
  load(state: TrainerState, more: unknown): Promise<void>;
}

/** How far the ratio to the policy that wrote a text may go (Schulman et al. 2017). */
const CLIP = 0.2;
/** Decay of {@linkcode generalisedAdvantages} (K: TRL's default). */
const LAMBDA = 0.95;

/** Opens the learner of an algorithm. */
export async function openLearner(
  runtime: Runtime,
  trainable: Trainable,
  shape: SequenceShape,
  settings: AlignmentSettings,
  preferences?: { readonly model: LanguageModel; readonly pairs: readonly PreferencePair[] },
): Promise<Learner> {
  const { learningRate, algorithm, temperature, beta } = settings;
  const inner = settings.innerEpochs ?? (algorithm === "ppo" ? 4 : 1);
  if (preferences) {
    const trainer = await PreferenceTrainer.open(
      runtime,
      preferences.model,
      trainable,
      preferences.pairs,
      { pairs: settings.prompts, beta, maxTokens: shape.maxTokens },
    );
    return learnerOf(trainer, async (_rollout, _rewards, _beta, random) => {
      for (let step = 0; step < inner; step++) {
        await trainer.step(random.fork(`${step}`), learningRate);
      }
    });
  }
  const trainer = await PolicyTrainer.open(runtime, trainable, {
    ...shape,
    temperature,
    clip: CLIP,
    accumulate: shape.rows < settings.prompts * settings.group,
    klInLoss: algorithm === "grpo" ? beta : 0,
  });
  const critic = algorithm === "ppo" ? new ValueHead(trainable.config.width) : undefined;
  const learn: Learner["learn"] = async (rollout, rewards, beta) => {
    const advantages = critic
      ? tokenAdvantages(critic, rollout, rewards, beta, shape.maxTokens)
      : textAdvantages(settings, rollout, rewards, beta);
    const { sequences, inputs, reference } = rollout;
    const fed = microBatches(sequences, shape).map((own, piece) => {
      const first = piece * shape.rows;
      const each = (of: (row: number, at: number) => number) =>
        perToken(own, shape, (row, at) => of(first + row, at));
      return {
        ...inputs[piece]!,
        advantages: each(advantages),
        writtenLog: each((row, at) => sequences[row]!.written.logProbabilities[at]!),
        referenceLog: each((row, at) => reference[row * shape.maxTokens + at]!),
      };
    });
    for (let step = 0; step < inner; step++) await trainer.step(fed, learningRate);
  };
  return learnerOf(trainer, learn, critic);
}

function learnerOf(
  trainer: PolicyTrainer | PreferenceTrainer,
  learn: Learner["learn"],
  critic?: ValueHead,
): Learner {
  return {
    learn,
    weights: () => trainer.weights(),
    parameters: () => trainer.parameters(),
    state: async () => ({
      state: await trainer.state(),
      ...(critic ? { more: critic.state() } : {}),
    }),
    async load(state, more) {
      await trainer.load(state);
      critic?.load(more as ValueState);
    },
    [Symbol.asyncDispose]: () => trainer[Symbol.asyncDispose](),
  };
}

/** One advantage for a whole text: it is held against its prompt's others. */
function textAdvantages(
  { algorithm, group }: AlignmentSettings,
  { kls }: Rollout,
  rewards: readonly number[],
  beta: number,
): (row: number) => number {
  const advantages = algorithm === "rloo"
    ? leaveOneOut(rewards.map((reward, row) => reward - beta * kls[row]!), group)
    : groupNormalised(rewards, group);
  return (row) => advantages[row]!;
}

/** An advantage for each token: each pays its own KL, the last one is paid for the text. */
function tokenAdvantages(
  critic: ValueHead,
  { sequences, reference, states }: Rollout,
  rewards: readonly number[],
  beta: number,
  maxTokens: number,
): (row: number, at: number) => number {
  const rows: number[] = [];
  const returns: number[] = [];
  const advantages: number[] = [];
  const starts = sequences.map(({ written: { logProbabilities } }, row) => {
    const start = advantages.length;
    const places = Array.from(logProbabilities, (_, at) => row * maxTokens + at);
    const paid = places.map((place, at) =>
      -beta * (logProbabilities[at]! - reference[place]!) +
      (at === places.length - 1 ? rewards[row]! : 0)
    );
    const values = places.map((place) => critic.at(states!, place));
    const found = generalisedAdvantages(paid, values, LAMBDA);
    rows.push(...places);
    returns.push(...found.returns);
    advantages.push(...found.advantages);
    return start;
  });
  critic.learn(states!, rows, returns);
  const scaled = whitened(advantages);
  return (row, at) => scaled[starts[row]! + at]!;
}
