/** The settings of an extraction and their defaults by objective. */
import type { BaseSettings } from "./base_path.ts";
import type { CorrectionSettings } from "./correction.ts";
import { failuresBelow, type FailureSelector } from "./failures.ts";
import type { Objective } from "./objectives.ts";
import type { PathShape } from "./path.ts";

/**
 * The four rewards that are always fitted, so that a gain is the method's and not the parameters' or
 * the tuning's: IRL as published, IRL tuned on validation pairs, the capacity-matched control (the
 * correction trained on all pairs alike), and FA-IRL.
 */
export const METHODS = ["irl", "irl-tuned", "control", "fa-irl"] as const;
/** One of {@linkcode METHODS}. */
export type Method = typeof METHODS[number];

/** Everything that an extraction depends on beside its data. */
export interface ExtractionSettings {
  /** The pair loss. */
  readonly objective: Objective;
  /** Order of the pairs, initial weights, folds. */
  readonly seed: number;
  /** Form of the base path. */
  readonly head: PathShape;
  /** Pairs in a step. */
  readonly batch: number;
  /** AdamW's decoupled weight decay. */
  readonly weightDecay: number;
  /** IRL as published (K). */
  readonly published: BaseSettings;
  /**
   * Settings of IRL tuned, the simplest first: the first that the validation pairs cannot tell from
   * the best of them is taken.
   */
  readonly tuned: readonly BaseSettings[];
  /** Form of the correction path. */
  readonly correctionShape: PathShape;
  /** Ways to train the correction of FA-IRL, the simplest first; taken as for `tuned`. */
  readonly correction: readonly CorrectionSettings[];
  /** The same for the control: as many, so that neither is tuned harder. */
  readonly control: readonly CorrectionSettings[];
  /** Which pairs FA-IRL treats as failures. */
  readonly select: FailureSelector;
  /** Comparisons across pairs of one prompt that are added for each pair (C); IRL as published has none. */
  readonly acrossPairs: number;
  /** Finds failures with gaps of half-models that did not train on them (C). */
  readonly crossFit: boolean;
}

/**
 * The settings of METHOD.md for an objective: the correction stands on the tuned base.
 *
 * @param objective The pair loss; the margin objectives share the max-margin correction
 * @param seed Any integer
 */
export function defaultSettings(objective: Objective, seed: number): ExtractionSettings {
  const entropy = objective === "max-entropy";
  const epochs = 30;
  const published = { sharpness: 0.1, learningRate: 1e-3, epochs, ridge: 0 };
  const outside = entropy ? 1 : 2;
  const common = {
    rounds: 4,
    outside,
    insideWeight: 1,
    outsideWeight: 1,
    alphas: [0, 0.25, 0.5, 0.75, 1],
    refresh: true,
  };
  // Failures get another margin or temperature.
  const slow = {
    ...common,
    epochs: 6,
    learningRate: 1e-4,
    decay: false,
    start: { hidden: 1, output: 0 },
    ridge: 0,
    outputRidge: 0,
    inside: 8,
  };
  // Failures weigh more, and the start is so small that few directions grow out of it: for features that
  // multiply. The penalty says how far it goes, and so no mixing weight has to.
  const small = {
    ...slow,
    epochs: 36,
    steps: 800,
    learningRate: 3e-3,
    decay: true,
    start: { hidden: 0.01, output: 30 },
    ridge: 0.08,
    inside: outside,
    alphas: [0, 1],
  };
  return {
    objective,
    seed,
    head: { kind: "linear" },
    batch: 128,
    weightDecay: 0.01,
    published,
    tuned: [
      ...[3, 1, 0.3, 0.1, 0.03, 0.01].map((ridge) => ({ ...published, sharpness: 1, ridge })),
      ...[1, 0.3, 0.1, 0.03, 0.01].map((sharpness) => ({ ...published, sharpness })),
    ],
    correctionShape: { kind: "mlp", hidden: 64 },
    correction: [slow, { ...small, insideWeight: 2 }],
    // The control treats no pair as a failure: neither `inside` nor `insideWeight` is used.
    control: [slow, small],
    select: failuresBelow(0.6, "all"),
    acrossPairs: 1,
    crossFit: true,
  };
}
