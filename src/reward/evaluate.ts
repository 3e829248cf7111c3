/** Judges a reward on held-out pairs and texts: eight figures, each with its interval. */
import {
  accuracy,
  bootstrap,
  brier,
  f1,
  type Interval,
  midpointThreshold,
  pairAccuracy,
  plattScaling,
  probabilities,
  Ranked,
  type Scaling,
  type Statistic,
  temperatureScaling,
} from "../metrics/mod.ts";
import { componentsOf, type PairKind, type PreferencePair, textsOf } from "../pairs/mod.ts";
import { starcStatistic } from "../starc/mod.ts";

/** The figures of a reward, in the order of the tables. */
export const FIGURES = [
  "pairAccuracy",
  "accuracy",
  "f1",
  "rocAuc",
  "starc",
  "epic",
  "ece",
  "brier",
] as const;
/** One of {@linkcode FIGURES}. */
export type Figure = typeof FIGURES[number];
/** The figures of one reward with 95 % intervals; null where a figure does not apply. */
export type Figures = Record<Figure, Interval | null>;

/** Pairs seen as texts: who shares a prompt, who is resampled together, who is toxic. */
export interface JudgedTexts {
  /** The distinct texts. */
  readonly texts: readonly string[];
  /** Row of each pair's chosen text. */
  readonly chosen: Int32Array;
  /** Row of each pair's rejected text. */
  readonly rejected: Int32Array;
  /** The prompt of each text; all texts without one share a number. */
  readonly prompts: Int32Array;
  /** What is resampled: texts and pairs that share a text or a prompt. One number for each text. */
  readonly clusters: Int32Array;
  /** 1 for a text that is not toxic, 0 for one that is, -1 where nobody says. */
  readonly labels: Int8Array;
}

/** Which side of a pair is toxic, by its kind: rejected first, as in `T->NT`. */
const TOXIC: Record<PairKind, readonly [rejected: boolean, chosen: boolean]> = {
  "T->NT": [true, false],
  "T->T": [true, true],
  "NT->NT": [false, false],
  "NT->T": [false, true],
};

/**
 * The distinct texts of pairs with their prompts, clusters and labels.
 *
 * A pair with a `label` says of both its texts whether they are toxic. Where no pair has one, chosen
 * texts count as label 1 and rejected texts as label 0. A text that is said to be both has none.
 *
 * @example A text on both sides has no label
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { judgedTexts } from "./evaluate.ts";
 * const { texts, labels } = judgedTexts([
 *   { prompt: "", chosen: "please", rejected: "now" },
 *   { prompt: "", chosen: "now", rejected: "or else" },
 * ]);
 * assertEquals([...texts], ["please", "now", "or else"]);
 * assertEquals([...labels], [1, -1, 0]);
 * ```
 */
export function judgedTexts(pairs: readonly PreferencePair[]): JudgedTexts {
  const { texts, chosen, rejected } = textsOf(pairs);
  const components = componentsOf(pairs).of;
  const labelled = pairs.some((pair) => pair.label !== undefined);
  const promptNumbers = new Map<string, number>([["", 0]]);
  const prompts = new Int32Array(texts.length);
  const clusters = new Int32Array(texts.length);
  const said = new Map<number, number>();
  const CONFLICT = -1;
  pairs.forEach((pair, at) => {
    const prompt = promptNumbers.get(pair.prompt) ?? promptNumbers.size;
    promptNumbers.set(pair.prompt, prompt);
    const toxic = pair.label ? TOXIC[pair.label] : labelled ? undefined : TOXIC["T->NT"];
    for (const [side, row] of [rejected[at]!, chosen[at]!].entries()) {
      prompts[row] = prompt;
      clusters[row] = components[at]!;
      if (!toxic) continue;
      const label = toxic[side] ? 0 : 1;
      said.set(row, (said.get(row) ?? label) === label ? label : CONFLICT);
    }
  });
  const labels = Int8Array.from(texts, (_, row) => said.get(row) ?? -1);
  return { texts, chosen, rejected, prompts, clusters, labels };
}

/** How rewards become probabilities and decisions; fixed before the test pairs are looked at. */
export interface Calibration {
  /** P(not toxic | reward r) = 1 / (1 + exp(-(a r + b))): Platt scaling. */
  readonly text: Scaling;
  /** P(chosen over rejected | gap g) = 1 / (1 + exp(-a g)): temperature scaling. */
  readonly pair: Scaling;
}

/**
 * Fits the calibration on validation texts.
 *
 * @param judged The validation texts
 * @param rewards One for each text, in their order
 */
export function calibrate(judged: JudgedTexts, rewards: ArrayLike<number>): Calibration {
  const rows = labelledRows(judged);
  const gaps = gapsOf(judged, rewards);
  return {
    text: plattScaling(rows.map((row) => rewards[row]!), rows.map((row) => judged.labels[row]!)),
    // A pair says that its gap should be positive; its mirror image says the same of the negative.
    pair: temperatureScaling(
      [...gaps, ...gaps.map((gap) => -gap)],
      [...gaps.map(() => 1), ...gaps.map(() => 0)],
    ),
  };
}

/**
 * The text threshold: the midpoint of mean chosen and mean rejected reward of training pairs.
 *
 * @param judged The training texts
 * @param rewards One for each text, in their order
 */
export function trainingThreshold(judged: JudgedTexts, rewards: ArrayLike<number>): number {
  const of = (rows: Int32Array) => Array.from(rows, (row) => rewards[row]!);
  return midpointThreshold(of(judged.chosen), of(judged.rejected));
}

/** A reward of the test texts and what was fixed for it before. */
export interface Judgement {
  /** One for each test text. */
  readonly rewards: ArrayLike<number>;
  /** Above it a text counts as not toxic. */
  readonly threshold: number;
  /** Left out where there was nothing to calibrate on. */
  readonly calibration?: Calibration;
}

/** How {@linkcode evaluate} is done. */
export interface EvaluationOptions {
  /** Reference reward of each test text; NaN where there is none. */
  readonly reference?: ArrayLike<number>;
  /** Fixes the bootstrap's draws. */
  readonly seed: number;
  /** How many there are. */
  readonly resamples?: number;
}

/**
 * The eight figures of several rewards on the same test pairs (METHOD.md, "Metrics on held-out data").
 * All see the same resamples of clusters, so their intervals can be compared.
 *
 * Text figures (accuracy, F1, ROC-AUC, ECE, Brier) are over distinct labelled texts, F1 for the
 * label "not toxic"; STARC and EPIC over distinct texts with a reference.
 *
 * @param judged The test texts
 * @param rewards What is judged, by name
 * @returns an interval for each figure of each reward, null where it does not apply
 *
 * @example One reward that ranks both pairs wrong, and one that ranks them right
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { evaluate, judgedTexts } from "./evaluate.ts";
 * const judged = judgedTexts([
 *   { prompt: "", chosen: "please", rejected: "now" },
 *   { prompt: "", chosen: "thank you", rejected: "whatever" },
 * ]);
 * const { short, polite } = evaluate(judged, {
 *   short: { rewards: judged.texts.map((text) => -text.length), threshold: -7 },
 *   polite: { rewards: [1, 0, 1, 0], threshold: 0.5 },
 * }, { seed: 0 });
 * assertEquals(short.pairAccuracy!.value, 0);
 * assertEquals(polite.pairAccuracy!.value, 1);
 * assertEquals(polite.starc, null);
 * ```
 */
export function evaluate<Name extends string>(
  judged: JudgedTexts,
  rewards: Record<Name, Judgement>,
  options: EvaluationOptions,
): Record<Name, Figures> {
  const { clusters, chosen } = judged;
  // Rows of the bootstrap: the texts, then the pairs.
  const texts = judged.texts.length;
  const rows = new Int32Array(texts + chosen.length);
  rows.set(clusters);
  chosen.forEach((row, pair) => rows[texts + pair] = clusters[row]!);

  const names = Object.keys(rewards) as Name[];
  const statistics: Record<string, Statistic> = {};
  for (const name of names) {
    const figures = figureStatistics(judged, rewards[name], options.reference);
    for (const [figure, statistic] of Object.entries(figures)) {
      statistics[`${name} ${figure}`] = statistic;
    }
  }
  const { seed, resamples } = options;
  const intervals = bootstrap(statistics, {
    clusters: rows,
    seed,
    ...(resamples === undefined ? {} : { resamples }),
  });
  return Object.fromEntries(
    names.map((name) => [
      name,
      Object.fromEntries(FIGURES.map((figure) => {
        const interval = intervals[`${name} ${figure}`];
        return [figure, interval && !Number.isNaN(interval.value) ? interval : null];
      })),
    ]),
  ) as Record<Name, Figures>;
}

function figureStatistics(
  judged: JudgedTexts,
  { rewards, threshold, calibration }: Judgement,
  reference: ArrayLike<number> | undefined,
): Partial<Record<Figure, Statistic>> {
  const texts = judged.texts.length;
  const gaps = gapsOf(judged, rewards);
  const result: Partial<Record<Figure, Statistic>> = {
    pairAccuracy: (weights) => pairAccuracy(gaps, weights.subarray(texts)),
  };

  const rows = labelledRows(judged);
  const labels = rows.map((row) => judged.labels[row]!);
  if (labels.includes(0) && labels.includes(1)) {
    const scores = rows.map((row) => rewards[row]!);
    const ranked = new Ranked(scores, labels);
    result.accuracy = over(rows, (weights) => accuracy(scores, labels, threshold, weights));
    result.f1 = over(rows, (weights) => f1(scores, labels, threshold, weights));
    result.rocAuc = over(rows, (weights) => ranked.rocAuc(weights));
    if (calibration) {
      const predicted = probabilities(calibration.text, scores);
      const rankedProbabilities = new Ranked(predicted, labels);
      result.ece = over(rows, (weights) => rankedProbabilities.ece(ECE_BINS, weights));
      result.brier = over(rows, (weights) => brier(predicted, labels, weights));
    }
  }

  if (reference) {
    const known = [...judged.texts.keys()].filter((row) => !Number.isNaN(reference[row]!));
    if (known.length > 1) {
      const own = known.map((row) => rewards[row]!);
      const truth = known.map((row) => reference[row]!);
      const groups = known.map((row) => judged.prompts[row]!);
      result.starc = over(known, starcStatistic(own, truth, { groups }));
      // The Pearson distance that is printed as EPIC: what STARC is without prompts.
      result.epic = over(known, starcStatistic(own, truth));
    }
  }
  return result;
}

const ECE_BINS = 15;

/** A statistic of some rows, as one of all rows. */
function over(rows: readonly number[], statistic: Statistic): Statistic {
  const own = new Float64Array(rows.length);
  return (weights) => {
    for (let at = 0; at < rows.length; at++) own[at] = weights[rows[at]!]!;
    return statistic(own);
  };
}

function labelledRows({ labels }: JudgedTexts): number[] {
  return [...labels.keys()].filter((row) => labels[row]! >= 0);
}

function gapsOf({ chosen, rejected }: JudgedTexts, rewards: ArrayLike<number>): number[] {
  return Array.from(chosen, (row, pair) => rewards[row]! - rewards[rejected[pair]!]!);
}
