/** The base path: standard IRL, as published or tuned, stopped where validation pairs say so. */
import type { Random } from "../base/mod.ts";
import { gapsOf, type PairFeatures } from "./data.ts";
import { freshWeights, type PathTrainer, type PathValues, type PathWeights } from "./path.ts";
import { separation } from "./separation.ts";

/** Settings of one base fit. */
export interface BaseSettings {
  /** Margin or temperature, by objective. */
  readonly sharpness: number;
  /** AdamW's step size. */
  readonly learningRate: number;
  /** Passes over the training pairs. */
  readonly epochs: number;
  /** Penalty on the squared norm of the weights; IRL as published has none. */
  readonly ridge: number;
}

/** A base path as it was at its best epoch. */
export interface BaseFit {
  /** Weights on standardised features. */
  readonly weights: PathWeights;
  /** The epoch they are from, counted from 1. */
  readonly epoch: number;
  /** {@linkcode separation} of the validation pairs at that epoch. */
  readonly validation: number;
  /** Gap of each validation pair at that epoch. */
  readonly gaps: Float32Array<ArrayBuffer>;
  /** Mean training loss of each epoch. */
  readonly losses: readonly number[];
  /** Separation of the validation pairs after each epoch. */
  readonly validations: readonly number[];
}

/** What a fit is done with. */
export interface FitTools {
  /** The compiled step of the path on the training pairs. */
  readonly trainer: PathTrainer;
  /** Values of the validation pairs' texts. */
  readonly values: PathValues;
  /** The validation pairs. */
  readonly validation: PairFeatures;
  /** Stops the fit between runs. */
  readonly signal?: AbortSignal;
}

/**
 * Trains the path alone and keeps the epoch with the lowest separation on validation pairs.
 *
 * @param pairs Which of the trainer's pairs to train on; all by default
 * @param random Order of the pairs and initial weights
 */
export async function fitBase(
  { trainer, values, validation, signal }: FitTools,
  settings: BaseSettings,
  random: Random,
  pairs?: Int32Array,
): Promise<BaseFit> {
  const count = trainer.pairs.chosen.length;
  const order = pairs ? Int32Array.from(pairs) : Int32Array.from({ length: count }, (_, at) => at);
  const terms = {
    offset: new Float32Array(count),
    weight: new Float32Array(count).fill(1),
    sharpness: new Float32Array(count).fill(settings.sharpness),
    ridge: settings.ridge,
    outputRidge: settings.ridge,
  };
  const { shape } = trainer.options;
  await trainer.reset(freshWeights(shape, trainer.pairs.dimension, random.fork("weights")));
  const losses: number[] = [];
  const validations: number[] = [];
  let best: Omit<BaseFit, "losses" | "validations"> | undefined;
  for (let epoch = 1; epoch <= settings.epochs; epoch++) {
    random.fork(`epoch ${epoch}`).shuffle(order);
    losses.push(await trainer.epoch(order, terms, settings.learningRate, signal));
    const weights = await trainer.weights();
    const gaps = gapsOf(validation, await values.of(weights));
    const score = separation(gaps);
    validations.push(score);
    if (!best || score < best.validation) best = { weights, epoch, validation: score, gaps };
  }
  return { ...best!, losses, validations };
}
