/** A policy's step: the clipped surrogate over written tokens, of which REINFORCE is the first step. */
import {
  adamW,
  add,
  clip,
  div,
  exp,
  gather,
  maximum,
  minimum,
  mul,
  neg,
  type Optimizer,
  Program,
  reduceSum,
  sub,
  Trainer,
  type Value,
} from "../graph/mod.ts";
import {
  type DecoderConfig,
  type DecoderParts,
  decoderStates,
  DecoderTrainer,
  type DecoderWeights,
  TextReader,
  tokenLogProbabilities,
  type Trainable,
} from "../lm/mod.ts";
import { type HostTensor, type Runtime } from "../runtime/mod.ts";
import { type SequenceInput, type SequenceShape, sequenceSpecs } from "./sequences.ts";

/** What a step is compiled for. */
export interface PolicyOptions extends SequenceShape {
  /** Temperature that texts are sampled at; the policy is the model at it. */
  readonly temperature: number;
  /** The ratio to the policy that wrote the text is clipped to 1 +- this (Schulman et al. 2017). */
  readonly clip: number;
  /** Weight of the KL to the reference inside the loss (GRPO); the k3 estimator of Schulman 2020. */
  readonly klInLoss: number;
  /** How the parameters move; AdamW without decay by default. */
  readonly optimizer?: Optimizer;
  /** Whether a step may be made of several micro-batches; false by default. */
  readonly accumulate?: boolean;
}

/**
 * log p of written tokens at a temperature, 0 where nothing was written, and the states before them.
 *
 * @param inputs As {@linkcode sequenceSpecs} declares them
 */
export function writtenLogs(
  parts: DecoderParts,
  inputs: Record<string, Value>,
  temperature: number,
): { log: Value; states: Value } {
  const { tokens, places, targets, there, mayEnd } = inputs;
  // The soft-max is only needed where something was written.
  const states = gather(decoderStates(parts, tokens!), places!);
  const log = tokenLogProbabilities(parts, states, targets!, { temperature, mayEnd: mayEnd! });
  return { log: mul(log, there!), states };
}

/** Trains a policy on what it wrote. */
export class PolicyTrainer extends DecoderTrainer {
  private constructor(
    trainer: Trainer,
    trainable: Trainable,
    private readonly accumulate: boolean,
  ) {
    super(trainer, trainable);
  }

  /** Compiles the step. */
  static async open(
    runtime: Runtime,
    trainable: Trainable,
    options: PolicyOptions,
  ): Promise<PolicyTrainer> {
    const { accumulate = false } = options;
    const written = { type: "float32", dims: [options.rows * options.maxTokens] } as const;
    const trainer = await Trainer.open(runtime, {
      parameters: trainable.parameters,
      constants: trainable.constants,
      inputs: {
        ...sequenceSpecs(options),
        advantages: written,
        writtenLog: written,
        referenceLog: written,
      },
      loss({ parameters, constants, inputs }) {
        const parts = trainable.parts(parameters, constants);
        const there = inputs["there"]!;
        const { log } = writtenLogs(parts, inputs, options.temperature);
        const advantages = inputs["advantages"]!;
        const ratio = exp(mul(sub(log, inputs["writtenLog"]!), there));
        const clipped = clip(ratio, 1 - options.clip, 1 + options.clip);
        const gain = minimum(mul(ratio, advantages), mul(clipped, advantages));
        const behind = mul(sub(inputs["referenceLog"]!, log), there);
        const kl = sub(sub(exp(behind), behind), 1);
        const each = options.klInLoss > 0 ? sub(gain, mul(kl, options.klInLoss)) : gain;
        // Over tokens, not over texts: a long text's tokens count as much as a short one's.
        return div(neg(reduceSum(mul(each, there))), maximum(reduceSum(there), 1));
      },
      optimizer: options.optimizer ?? adamW({ weightDecay: 0 }),
      clipNorm: 1,
      stepsPerRun: 1,
      accumulate,
    });
    return new PolicyTrainer(trainer, trainable, accumulate);
  }

  /**
   * One step; returns the loss before it.
   *
   * @param pieces Inputs of a batch, or of its micro-batches where it was compiled to accumulate
   */
  async step(pieces: readonly Record<string, HostTensor>[], learningRate: number): Promise<number> {
    if (!this.accumulate) {
      const { loss } = await this.trainer.run({ inputs: pieces[0]!, learningRate });
      return loss[0]!;
    }
    const counts = pieces.map(({ there }) =>
      (there!.data as Float32Array).reduce((sum, one) => sum + one, 0)
    );
    const all = counts.reduce((sum, count) => sum + count, 0);
    return await this.trainer.accumulate({
      // A piece's loss is a mean over its own tokens, the step's over all.
      pieces: pieces.map((inputs, at) => ({ inputs, weight: counts[at]! / Math.max(1, all) })),
      learningRate,
    });
  }
}

/** How a {@linkcode TokenReader} reads. */
export interface ReadingOptions extends SequenceShape {
  /** The logits are divided by it. */
  readonly temperature: number;
  /** Whether the states are given too. */
  readonly states?: boolean;
}

/** log p of written tokens under fixed weights. */
export class TokenReader implements AsyncDisposable {
  private constructor(
    private readonly reader: TextReader | Program,
    private readonly wanted: boolean,
  ) {}

  /** Compiles the reader. */
  static async open(
    runtime: Runtime,
    config: DecoderConfig,
    weights: DecoderWeights,
    { temperature, states: wanted = false, ...shape }: ReadingOptions,
  ): Promise<TokenReader> {
    const options = { length: shape.length, temperature };
    const fused = await TextReader.open(runtime, config, weights, options);
    if (fused) return new TokenReader(fused, wanted);
    const program = await Program.open(runtime, {
      constants: weights,
      inputs: sequenceSpecs(shape),
      outputs({ constants, inputs }) {
        const { log, states } = writtenLogs({ config, weights: constants }, inputs, temperature);
        return { log: add(log, 0), ...(wanted ? { states } : {}) };
      },
    });
    return new TokenReader(program, wanted);
  }

  /**
   * Reads what is laid out.
   *
   * @returns `log`, `[rows * maxTokens]` in nats, 0 where nothing was written; `states`, `[rows *
   * maxTokens, width]`: those before each written token, where they were wanted
   */
  async read(
    inputs: Record<SequenceInput, HostTensor>,
  ): Promise<{ log: Float32Array; states?: Float32Array }> {
    if (this.reader instanceof TextReader) {
      const { log, states } = await this.reader.read(inputs);
      return this.wanted ? { log, states } : { log };
    }
    const { log, states } = await this.reader.run(inputs);
    return {
      log: log!.data as Float32Array,
      ...(states ? { states: states.data as Float32Array } : {}),
    };
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader[Symbol.asyncDispose]();
  }
}
