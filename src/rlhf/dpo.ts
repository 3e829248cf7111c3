/** Direct preference optimisation: a policy learns from pairs, without a reward (Rafailov et al. 2023). */
import type { Random } from "../base/mod.ts";
import {
  adamW,
  mul,
  neg,
  reduceMean,
  reduceSum,
  reshape,
  slice,
  softplus,
  sub,
  Trainer,
} from "../graph/mod.ts";
import { DecoderTrainer, type Generated, type LanguageModel, type Trainable } from "../lm/mod.ts";
import type { PreferencePair } from "../pairs/mod.ts";
import { type HostTensor, type Runtime, tensor } from "../runtime/mod.ts";
import { TokenReader, writtenLogs } from "./policy.ts";
import { layOut, type Sequence, type SequenceShape, sequenceSpecs } from "./sequences.ts";

/** What DPO is compiled for. */
export interface PreferenceOptions {
  /** Pairs in a step. */
  readonly pairs: number;
  /** Weight of the implicit reward: the smaller, the further the policy may go. */
  readonly beta: number;
  /** Longest completion that is read, in tokens; what follows is cut off. */
  readonly maxTokens: number;
}

/** Trains a policy on preference pairs. */
export class PreferenceTrainer extends DecoderTrainer {
  private constructor(
    trainer: Trainer,
    trainable: Trainable,
    private readonly reader: TokenReader,
    private readonly rows: readonly (readonly [chosen: Sequence, rejected: Sequence])[],
    private readonly shape: SequenceShape,
  ) {
    super(trainer, trainable);
  }

  /** Reads the pairs' tokens and compiles the step. */
  static async open(
    runtime: Runtime,
    { config, tokenizer, weights }: LanguageModel,
    trainable: Trainable,
    pairs: readonly PreferencePair[],
    { pairs: count, beta, maxTokens }: PreferenceOptions,
  ): Promise<PreferenceTrainer> {
    const sequence = (prompt: string, text: string): Sequence => {
      // Texts of one piece with their prompt are read from where the prompt ends.
      const rest = text.startsWith(prompt) ? text.slice(prompt.length) : text;
      const tokens = Int32Array.of(...tokenizer.encode(rest), config.eos).slice(0, maxTokens);
      const written: Generated = {
        tokens,
        logProbabilities: new Float32Array(tokens.length),
        reason: "eos",
      };
      return { prompt: Int32Array.of(config.bos, ...tokenizer.encode(prompt)), written };
    };
    const rows = pairs.map(({ prompt, chosen, rejected }) =>
      [sequence(prompt, chosen), sequence(prompt, rejected)] as const
    );
    const longest = rows.flat().reduce((most, { prompt }) => Math.max(most, prompt.length), 0);
    const shape = { rows: 2 * count, length: longest + maxTokens - 1, maxTokens };
    const trainer = await Trainer.open(runtime, {
      parameters: trainable.parameters,
      constants: trainable.constants,
      inputs: {
        ...sequenceSpecs(shape),
        referenceLog: { type: "float32", dims: [shape.rows * maxTokens] },
      },
      loss({ parameters, constants, inputs }) {
        const parts = trainable.parts(parameters, constants);
        const ratio = sub(writtenLogs(parts, inputs, 1).log, inputs["referenceLog"]!);
        const each = reduceSum(reshape(ratio, [shape.rows, maxTokens]), { axes: [-1] });
        const margin = sub(slice(each, [0], [count], [0]), slice(each, [count], [2 * count], [0]));
        return reduceMean(softplus(neg(mul(margin, beta))));
      },
      optimizer: adamW({ weightDecay: 0 }),
      clipNorm: 1,
      stepsPerRun: 1,
    });
    const reader = await TokenReader.open(runtime, config, weights, { ...shape, temperature: 1 });
    return new PreferenceTrainer(trainer, trainable, reader, rows, shape);
  }

  /**
   * A step on pairs drawn at random.
   *
   * @returns the loss before it: log 2 where the policy is the reference
   */
  async step(random: Random, learningRate: number): Promise<number> {
    const count = this.shape.rows / 2;
    const drawn = Array.from({ length: count }, () => this.rows[random.integer(this.rows.length)]!);
    const sides = [...drawn.map(([chosen]) => chosen), ...drawn.map(([, rejected]) => rejected)];
    const inputs: Record<string, HostTensor> = layOut(sides, this.shape, 0);
    const { log } = await this.reader.read(inputs);
    const referenceLog = tensor("float32", [log.length], Float32Array.from(log));
    const { loss } = await this.trainer.run({ inputs: { ...inputs, referenceLog }, learningRate });
    return loss[0]!;
  }

  /** Releases the sessions. */
  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await this.reader[Symbol.asyncDispose]();
  }
}
