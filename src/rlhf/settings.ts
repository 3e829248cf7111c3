/** How a policy is aligned. */
import type { LoraSettings } from "../lm/mod.ts";

/** Ways to turn rewards or pairs into steps. */
export const ALGORITHMS = ["rloo", "grpo", "ppo", "dpo"] as const;
/** One of {@linkcode ALGORITHMS}. */
export type Algorithm = typeof ALGORITHMS[number];

/** Settings of an alignment. */
export interface AlignmentSettings {
  /**
   * RLOO (Ahmadian et al. 2024), GRPO (Shao et al. 2024), PPO-clip with a value head (Schulman et al.
   * 2017) or, from pairs, DPO (Rafailov et al. 2023).
   */
  readonly algorithm: Algorithm;
  /** Batches of prompts. */
  readonly epochs: number;
  /** Prompts in a batch; for DPO the pairs in a step, too. */
  readonly prompts: number;
  /** Continuations of a prompt; at least 2 where they are held against each other. */
  readonly group: number;
  /** Longest continuation, in tokens. */
  readonly maxTokens: number;
  /** Tokens before a text may end; without it short texts pay. */
  readonly minTokens: number;
  /** Temperature of sampling. */
  readonly temperature: number;
  /** Step size. */
  readonly learningRate: number;
  /**
   * Texts whose gradient is computed at a time; the gradients of a batch are added up, so the step is
   * the same in less memory. Default: the whole batch. Not for DPO.
   */
  readonly microBatch?: number;
  /** Steps on each batch. Default: 4 for PPO, else 1. */
  readonly innerEpochs?: number;
  /**
   * Coefficient of the KL to the reference: in the reward for RLOO and PPO, in the loss for GRPO; DPO's
   * own beta.
   */
  readonly beta: number;
  /** KL in nats a text that beta is steered to (Ziegler et al. 2019, section 2.2); RLOO and PPO only. */
  readonly targetKl?: number;
  /** Rewards in deviations over what the model writes, and no more than this is paid for. */
  readonly cap?: number;
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
