/** The correction path: trained on top of a frozen base, on failures, in rounds under a curriculum. */
import type { Random } from "../base/mod.ts";
import type { TrainerState } from "../graph/mod.ts";
import { gapsOf } from "./data.ts";
import type { FitTools } from "./base_path.ts";
import type { FailureSelector } from "./failures.ts";
import { freshWeights, type PathStart, type PathValues, type PathWeights } from "./path.ts";
import { separation } from "./separation.ts";
import type { Stages } from "./stages.ts";

/** Settings of the correction. Gaps are in deviations of the base path's gaps on training pairs. */
export interface CorrectionSettings {
  /** Rounds; the failures are found anew before each. */
  readonly rounds: number;
  /** Passes over the pairs in a round. */
  readonly epochs: number;
  /** Steps in a round at most, where one pass alone does not take more; no bound without it. */
  readonly steps?: number;
  /** AdamW's step size. */
  readonly learningRate: number;
  /**
   * Whether the step size falls to zero, in a straight line over all rounds. What it is then judged
   * by is the last epoch alone: one of many is too easily the best by luck.
   */
  readonly decay: boolean;
  /** Sizes of the initial weights. */
  readonly start: PathStart;
  /** Margin or temperature of a failure: M, or kappa times T0. */
  readonly inside: number;
  /** Margin or temperature of other pairs: m_c, or T0. */
  readonly outside: number;
  /** Weight of a failure's loss. */
  readonly insideWeight: number;
  /** Weight of another pair's loss. At 0 the path never sees those pairs. */
  readonly outsideWeight: number;
  /** Penalty on the squared norm of the weights that read features. */
  readonly ridge: number;
  /** The same for the weights that read hidden units. */
  readonly outputRidge: number;
  /** The mixing weights that validation chooses from, the first of them 0: the base alone. */
  readonly alphas: readonly number[];
  /** False keeps the failures of the first round. */
  readonly refresh: boolean;
}

/** The frozen base under a correction. */
export interface FrozenBase {
  /** Gap of each training pair, in its own deviations. */
  readonly train: Float32Array<ArrayBuffer>;
  /** Gaps to find failures with: out-of-fold ones where the base was cross-fitted. */
  readonly unseen: Float32Array<ArrayBuffer>;
  /** Gap of each validation pair, in the same unit. */
  readonly validation: Float32Array<ArrayBuffer>;
}

/** What one round did. */
export interface RoundLog {
  /** From 1. */
  readonly round: number;
  /** Training pairs whose gap was negative when the round began. */
  readonly violations: number;
  /** Training pairs whose gap was at least 0 and below tau. */
  readonly nearTies: number;
  /** Pairs that the round treated as failures. */
  readonly selected: number;
  /** Failures of the round before that are none any more. */
  readonly resolved: number;
  /** Failures that were none in the round before. */
  readonly appeared: number;
  /** Mean training loss of each epoch. */
  readonly losses: readonly number[];
  /** Lowest separation of the validation pairs after each epoch, over the mixing weights. */
  readonly validations: readonly number[];
  /** Mixing weight that was best so far. */
  readonly alpha: number;
  /** Epoch over all rounds at which the best so far was found; 0 is the base alone. */
  readonly bestEpoch: number;
}

/** A correction as it was at its best epoch, for one mixing weight. */
export interface CorrectionFit {
  /** Weights on standardised features. */
  readonly weights: PathWeights;
  /** Mixing weight alpha of R = R_base + alpha R_corr. */
  readonly alpha: number;
  /** How it was trained. */
  readonly settings: CorrectionSettings;
  /** Epoch over all rounds, from 1; 0 when the base alone was best. */
  readonly epoch: number;
  /** Separation of the validation pairs. */
  readonly validation: number;
  /** Gap of each validation pair. */
  readonly gaps: Float32Array<ArrayBuffer>;
}

/** What the rounds of a correction gave. */
export interface CorrectionRun {
  /** The best for each mixing weight, the base alone first. */
  readonly fits: readonly CorrectionFit[];
  /** One entry a round. */
  readonly rounds: readonly RoundLog[];
}

/** What a round hands on to the next. */
interface Carried {
  readonly state: TrainerState;
  readonly run: CorrectionRun;
  readonly failures: Uint8Array;
  readonly member: Uint8Array;
}

/**
 * Trains a correction on top of a frozen base (K: dual path, failures, curriculum; C: the guard that
 * epoch and mixing weight are chosen on text-disjoint validation pairs, alpha = 0 among them).
 *
 * @param tools The correction path's trainer and values
 * @param trainValues Values of the training pairs' texts, to find failures with
 * @param name Prefix of the stages that are kept, one a round
 */
export async function fitCorrection(
  tools: FitTools & { trainValues: PathValues; stages: Stages; onRound?: (log: RoundLog) => void },
  base: FrozenBase,
  settings: CorrectionSettings,
  select: FailureSelector,
  random: Random,
  name: string,
): Promise<CorrectionRun> {
  let carried: Carried | undefined;
  for (let round = 1; round <= settings.rounds; round++) {
    const before: Carried | undefined = carried;
    carried = await tools.stages.run(
      `${name} round ${round}`,
      () => runRound(tools, base, settings, select, random, round, before),
    );
    tools.onRound?.(carried.run.rounds.at(-1)!);
  }
  return carried!.run;
}

async function runRound(
  { trainer, values, trainValues, validation, signal }: FitTools & { trainValues: PathValues },
  base: FrozenBase,
  settings: CorrectionSettings,
  select: FailureSelector,
  random: Random,
  round: number,
  before: Carried | undefined,
): Promise<Carried> {
  const { pairs, options } = trainer;
  const initial = freshWeights(
    options.shape,
    pairs.dimension,
    random.fork("weights"),
    settings.start,
  );
  if (before) await trainer.load(before.state);
  else await trainer.reset(initial);

  const own = before ? gapsOf(pairs, await trainValues.of(await trainer.weights())) : undefined;
  const gaps = own ? base.unseen.map((gap, pair) => gap + own[pair]!) : base.unseen;
  const found = select(gaps, round, settings.rounds);
  const member = settings.refresh || !before ? found.member : before.member;
  // Resolved and new ones are counted over all failures, not over those the curriculum let in.
  const failures = select(gaps, settings.rounds, settings.rounds).member;

  const count = pairs.chosen.length;
  const terms = {
    offset: base.train,
    weight: new Float32Array(count),
    sharpness: new Float32Array(count),
    ridge: settings.ridge,
    outputRidge: settings.outputRidge,
  };
  const order: number[] = [];
  member.forEach((inside, pair) => {
    terms.weight[pair] = inside ? settings.insideWeight : settings.outsideWeight;
    terms.sharpness[pair] = inside ? settings.inside : settings.outside;
    if (terms.weight[pair]! > 0) order.push(pair);
  });

  const fits: CorrectionFit[] = settings.alphas.map((alpha, at) =>
    before?.run.fits[at] ?? {
      weights: initial,
      alpha,
      settings,
      epoch: 0,
      validation: separation(base.validation),
      gaps: base.validation,
    }
  );
  const losses: number[] = [];
  const validations: number[] = [];
  const { steps = Infinity } = settings;
  const passes = Math.max(1, Math.floor(steps / Math.max(1, Math.floor(count / trainer.batch))));
  const epochs = Math.min(settings.epochs, passes);
  const last = settings.rounds * epochs;
  for (let epoch = 1; epoch <= epochs && order.length > 0; epoch++) {
    const overall = (round - 1) * epochs + epoch;
    random.fork(`epoch ${overall}`).shuffle(order);
    const left = 1 - (overall - 1) / last;
    const learningRate = settings.learningRate * (settings.decay ? left : 1);
    losses.push(await trainer.epoch(Int32Array.from(order), terms, learningRate, signal));
    const weights = await trainer.weights();
    const correction = gapsOf(validation, await values.of(weights));
    let lowest = Infinity;
    for (const [at, alpha] of settings.alphas.entries()) {
      const gaps = base.validation.map((gap, pair) => gap + alpha * correction[pair]!);
      const score = separation(gaps);
      lowest = Math.min(lowest, score);
      if (score < fits[at]!.validation && (!settings.decay || overall === last)) {
        fits[at] = { ...fits[at]!, weights, epoch: overall, validation: score, gaps };
      }
    }
    validations.push(lowest);
  }
  const best = fits.reduce((a, b) => b.validation < a.validation ? b : a);
  const log: RoundLog = {
    round,
    violations: found.violations,
    nearTies: found.nearTies,
    selected: member.reduce((sum, inside) => sum + inside, 0),
    resolved: before ? countWhere(before.failures, failures) : 0,
    appeared: before ? countWhere(failures, before.failures) : 0,
    losses,
    validations,
    alpha: best.epoch === 0 ? 0 : best.alpha,
    bestEpoch: best.epoch,
  };
  return {
    state: await trainer.state(),
    run: { fits, rounds: [...before?.run.rounds ?? [], log] },
    failures,
    member,
  };
}

/** How many are in the first set and not in the second. */
function countWhere(first: Uint8Array, second: Uint8Array): number {
  let count = 0;
  first.forEach((inside, pair) => count += inside && !second[pair] ? 1 : 0);
  return count;
}
