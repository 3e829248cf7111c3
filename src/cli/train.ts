/** `fairl train`: the walk from preference pairs to an artefact. */
import { z } from "zod";
import { FairlError, messageOf, type Progress, sha256 } from "../base/mod.ts";
import { openEncoder } from "../encode/mod.ts";
import {
  defaultSettings,
  distil,
  extract,
  type Extraction,
  type ExtractionData,
  type ExtractionSettings,
  keptIn,
  METHODS,
  OBJECTIVES,
} from "../irl/mod.ts";
import { clusterIds, probabilities, quantile, Ranked } from "../metrics/mod.ts";
import {
  BASELINES,
  loadPairs,
  type PairSet,
  type PairSplit,
  splitPairs,
  textsOf,
} from "../pairs/mod.ts";
import {
  againstReferencePlot,
  figuresTable,
  gapsPlot,
  reliabilityPlot,
  rocPlot,
  roundsPlot,
} from "../report/mod.ts";
import {
  calibrate,
  type Calibration,
  evaluate,
  evaluateHead,
  type Figures,
  GIVEN_FEATURES,
  headModel,
  type JudgedTexts,
  judgedTexts,
  type Judgement,
  type RewardHead,
  saveArtefact,
  trainingThreshold,
} from "../reward/mod.ts";
import { Runtime } from "../runtime/mod.ts";
import {
  cacheFolder,
  checked,
  countFlag,
  encodingFlags,
  interruptible,
  shareFlag,
} from "./options.ts";
import { kindsOf, MODEL_PAIRS, sampleModelPairs } from "./model_pairs.ts";
import { refuseForeignFolder } from "./out.ts";
import { DEFAULT_ENCODER, refuseUnknownReward, withScorer } from "./reference.ts";
import { note, print, terminalProgress } from "./terminal.ts";
import { versions } from "./versions.ts";

const schema = z.object({
  ...encodingFlags,
  pairs: z.string().min(1),
  objective: z.enum(OBJECTIVES),
  method: z.enum(METHODS),
  head: z.enum(["linear", "mlp"]),
  reference: z.string().min(1).optional(),
  out: z.string().min(1),
  seed: countFlag,
  onError: z.enum(["stop", "skip"]),
  resume: z.boolean().default(false),
  prompts: countFlag,
  world: z.enum(["linear", "nonlinear", "noisy"]).optional(),
  worldInputs: z.enum(["texts", "features"]).optional(),
  worldPrompts: countFlag.optional(),
  worldNoise: shareFlag.optional(),
  worldBlindSpot: shareFlag.optional(),
});

type Flags = z.infer<typeof schema>;

/** What the walk carries from step to step. */
interface Walk {
  readonly flags: Flags;
  readonly runtime: Runtime;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** What is compared: the four extracted ones and what knows nothing of meaning. */
const BASELINE_NAMES = ["length", "words"] as const;
const COMPARED = [...METHODS, ...BASELINE_NAMES] as const;
/** What is known beside them where both language models are at hand (white box). */
const WHITE_BOX = ["distilled", "implicit"] as const;
type Compared = typeof COMPARED[number] | typeof WHITE_BOX[number];

/**
 * Runs the command.
 *
 * @throws FairlError for anything a user can mend; `AbortError` after Ctrl-C
 */
export async function train(values: unknown): Promise<void> {
  const flags = checked(schema, values);
  await refuseForeignFolder(flags.out, "card.json", "artefact");
  const { reference = "none" } = flags;
  if (reference !== "none") await refuseUnknownReward(reference);
  await interruptible(async (signal) => {
    await using runtime = await Runtime.open(flags.device);
    note(`device: ${runtime.device}, ${runtime.detail} (${runtime.why})`);
    await walk({ flags, runtime, signal, progress: terminalProgress() });
  });
}

async function walk(context: Walk): Promise<void> {
  const { flags, runtime, progress, signal } = context;
  const started = performance.now();
  const sampled = flags.pairs === MODEL_PAIRS
    ? await sampleModelPairs(runtime, flags, { progress, signal })
    : undefined;
  const set = sampled?.set ?? await loadPairs(flags.pairs, {
    onError: flags.onError,
    onProblem: ({ line, code, message }) => progress.log(`line ${line}: ${code}: ${message}`),
    seed: flags.seed,
    cache: cacheFolder(),
    progress,
    signal,
    synthetic: {
      reward: flags.world,
      inputs: flags.worldInputs,
      prompts: flags.worldPrompts,
      noise: flags.worldNoise,
      blindSpot: flags.worldBlindSpot,
    },
  });
  const split = splitPairs(set.pairs, { seed: flags.seed });
  describe(set, split, progress);

  const beforeEncoding = performance.now();
  const features = await encode(context, set);
  const encoded = performance.now();

  const settings = settingsOf(flags, set);
  const extraction = await fit(context, set, split, features, settings);
  const box = sampled && await whiteBox(context, set, split, features, sampled.implicit);
  const fitted = performance.now();

  const judged = await judge(context, set, split, features, extraction, box);
  await save(context, set, split, features, extraction, settings, judged);
  await Deno.remove(unfinishedFolder(flags.out), { recursive: true }).catch(() => {});

  const seconds = (from: number, to: number) => Math.round(to - from) / 1000;
  const summary = {
    artefact: flags.out,
    device: runtime.device,
    encoder: features.encoder.id,
    objective: flags.objective,
    seed: flags.seed,
    pairs: {
      read: set.counts.read,
      kept: set.counts.kept,
      train: split.train.length,
      validation: split.validation.length,
      test: split.test.length,
    },
    test: judged.figures,
    seconds: {
      encode: seconds(beforeEncoding, encoded),
      train: seconds(encoded, fitted),
      total: seconds(started, performance.now()),
    },
  };
  if (flags.json) return print(JSON.stringify(summary));
  print(figuresTable(judged.figures, { plain: !Deno.stdout.isTerminal() }));
  print(
    `${flags.method} with ${flags.objective} on ${runtime.device}: encoded in ` +
      `${summary.seconds.encode} s, trained in ${summary.seconds.train} s, ` +
      `${summary.seconds.total} s in all`,
  );
  print(`${flags.out}: reward.onnx, card.json, README.md, training.jsonl, plots/`);
}

/** Tells what was read, and what a reward that understands nothing would reach. */
function describe(set: PairSet, split: PairSplit, progress: Progress): void {
  const { counts, name } = set;
  progress.log(
    `${name}: ${counts.read} rows, ${counts.kept} pairs kept ` +
      `(${counts.duplicates} repeated, ${counts.equalTexts} of equal texts, ` +
      `${counts.emptyTexts} with an empty text, ${counts.conflicts} contradicted); ` +
      `${split.train.length} for training, ${split.validation.length} for validation, ` +
      `${split.test.length} for the test`,
  );
  if (set.pairs.every(({ label }) => label !== undefined)) {
    progress.log(`kinds, base -> aligned, T is toxic: ${kindsOf(set.pairs)}`);
  }
}

/** Features of the set's distinct texts. */
interface Features {
  /** What made them. */
  readonly encoder: { readonly name: string; readonly id: string };
  readonly dimension: number;
  /** `[texts, dimension]` */
  readonly rows: Float32Array<ArrayBuffer>;
  /** Where each text is. */
  readonly rowOf: ReadonlyMap<string, number>;
}

async function encode({ flags, progress, signal }: Walk, set: PairSet): Promise<Features> {
  const { texts } = textsOf(set.pairs);
  if (set.truth?.features) {
    return {
      encoder: { name: GIVEN_FEATURES, id: GIVEN_FEATURES },
      dimension: set.truth.dimension!,
      rows: set.truth.features,
      rowOf: new Map(set.truth.texts.map((text, row) => [text, row])),
    };
  }
  const name = flags.encoder ?? DEFAULT_ENCODER;
  await using encoder = await openEncoder(name, {
    device: flags.device,
    cache: cacheFolder(),
  });
  const rows = await encoder.encode(texts, { progress, signal });
  return {
    encoder: { name, id: encoder.id },
    dimension: encoder.dimension,
    rows,
    rowOf: new Map(texts.map((text, row) => [text, row])),
  };
}

/** What the language models themselves say of texts, and what a head learned from it. */
interface WhiteBox {
  readonly implicit: ReadonlyMap<string, number>;
  readonly distilled: RewardHead;
}

async function whiteBox(
  { runtime }: Walk,
  set: PairSet,
  split: PairSplit,
  features: Features,
  implicit: ReadonlyMap<string, number>,
): Promise<WhiteBox> {
  const { texts } = textsOf(set.pairs);
  const values = new Float32Array(features.rows.length / features.dimension);
  for (const text of texts) values[features.rowOf.get(text)!] = implicit.get(text)!;
  return { implicit, distilled: await distil(runtime, dataOf(set, split, features), values) };
}

function dataOf(set: PairSet, split: PairSplit, features: Features): ExtractionData {
  const row = (text: string) => features.rowOf.get(text)!;
  return {
    features: features.rows,
    dimension: features.dimension,
    chosen: Int32Array.from(set.pairs, (pair) => row(pair.chosen)),
    rejected: Int32Array.from(set.pairs, (pair) => row(pair.rejected)),
    prompts: clusterIds(set.pairs.map(({ prompt }) => prompt)),
    train: split.train,
    validation: split.validation,
  };
}

async function fit(
  { flags, runtime, progress, signal }: Walk,
  set: PairSet,
  split: PairSplit,
  features: Features,
  settings: ExtractionSettings,
): Promise<Extraction> {
  const folder = unfinishedFolder(flags.out);
  if (!flags.resume) await Deno.remove(folder, { recursive: true }).catch(() => {});
  const fingerprint = sha256(JSON.stringify({
    pairs: set.contentHash,
    encoder: features.encoder.id,
    settings,
    device: runtime.device,
    detail: runtime.detail,
  }));
  return await extract(
    runtime,
    dataOf(set, split, features),
    settings,
    { progress, signal, stages: keptIn(folder, fingerprint) },
  );
}

function settingsOf({ objective, seed, head }: Flags, { truth }: PairSet): ExtractionSettings {
  // A world's pairs are put in order by its reward and not by who wrote them: the chosen text of one
  // pair may well be worse than the rejected text of another.
  const defaults = { ...defaultSettings(objective, seed), ...(truth ? { acrossPairs: 0 } : {}) };
  return head === "mlp" ? { ...defaults, head: defaults.correctionShape } : defaults;
}

/** Where the finished stages of a run that was stopped wait for `--resume`. */
function unfinishedFolder(out: string): string {
  return `${out.replace(/[\\/]+$/, "")}.unfinished`;
}

/** What was measured on the test pairs. */
interface Judged {
  readonly test: JudgedTexts;
  readonly rewards: Record<Compared, CalibratedJudgement>;
  readonly figures: Record<Compared, Figures>;
  /** Rewards of the training texts under the reward that is kept, in ascending order. */
  readonly training: Float64Array;
  readonly reference: Reference | undefined;
}

type CalibratedJudgement = Judgement & { readonly calibration: Calibration };

/** A reference reward of the test texts. */
interface Reference {
  readonly name: string;
  readonly rewards: Float32Array;
}

async function judge(
  context: Walk,
  set: PairSet,
  split: PairSplit,
  features: Features,
  { heads }: Extraction,
  box: WhiteBox | undefined,
): Promise<Judged> {
  const { flags, runtime } = context;
  const pairsOf = (part: Int32Array) => Array.from(part, (at) => set.pairs[at]!);
  const train = judgedTexts(pairsOf(split.train));
  const validation = judgedTexts(pairsOf(split.validation));
  const test = judgedTexts(pairsOf(split.test));

  const scorers = {} as Record<Compared, (judged: JudgedTexts) => Promise<ArrayLike<number>>>;
  const valued = (head: RewardHead) => ({ texts }: JudgedTexts) =>
    evaluateHead(runtime, head, featuresOf(features, texts));
  for (const method of METHODS) scorers[method] = valued(heads[method]);
  if (box) {
    scorers.distilled = valued(box.distilled);
    scorers.implicit = ({ texts }) => Promise.resolve(texts.map((text) => box.implicit.get(text)!));
  }
  for (const baseline of BASELINES) {
    if (baseline.name !== "length" && baseline.name !== "words") continue;
    const score = baseline.fit(pairsOf(split.train));
    scorers[baseline.name] = ({ texts }) => Promise.resolve(texts.map(score));
  }
  const rewards = {} as Record<Compared, CalibratedJudgement>;
  for (const name of box ? [...METHODS, ...WHITE_BOX, ...BASELINE_NAMES] : COMPARED) {
    rewards[name] = {
      rewards: await scorers[name](test),
      threshold: trainingThreshold(train, await scorers[name](train)),
      calibration: calibrate(validation, await scorers[name](validation)),
    };
  }
  const reference = await referenceOf(context, set, test);
  const figures = evaluate(test, rewards, {
    seed: flags.seed,
    ...(reference ? { reference: reference.rewards } : {}),
  });
  const training = Float64Array.from(await scorers[flags.method](train)).sort();
  return { test, rewards, figures, training, reference };
}

/**
 * The reference reward of the test texts. Without `--reference`, the pairs' own columns where there
 * are any, else `davidson`; then a source that cannot be had is no reason to lose the training.
 */
async function referenceOf(
  { flags, runtime, progress }: Walk,
  set: PairSet,
  test: JudgedTexts,
): Promise<Reference | undefined> {
  if (flags.reference === "none") return undefined;
  const hasColumns = set.pairs.some((pair) => pair.chosenReference !== undefined);
  const name = flags.reference ?? (hasColumns ? "column" : "davidson");
  const encoder = flags.encoder ?? DEFAULT_ENCODER;
  try {
    return await withScorer(
      name,
      { runtime, device: flags.device, encoder, pairs: set.pairs },
      async (scorer) => ({ name: scorer.name, rewards: await scorer.score(test.texts) }),
    );
  } catch (error) {
    if (flags.reference !== undefined || !(error instanceof FairlError)) throw error;
    progress.log(`no STARC and EPIC, since the reference ${name} is missing: ${messageOf(error)}`);
    return undefined;
  }
}

/** How finely the artefact keeps the distribution of training rewards. */
const QUANTILES = 1001;

async function save(
  { flags, runtime }: Walk,
  set: PairSet,
  split: PairSplit,
  features: Features,
  extraction: Extraction,
  settings: ExtractionSettings,
  judged: Judged,
): Promise<void> {
  const kept = judged.rewards[flags.method];
  const { counts } = set;
  await saveArtefact(flags.out, {
    model: headModel(extraction.heads[flags.method]),
    training: extraction.log,
    plots: await plots(flags, extraction, judged),
    card: {
      format: 1,
      method: flags.method,
      objective: flags.objective,
      head: flags.head,
      box: "black",
      encoder: { ...features.encoder, dimension: features.dimension },
      seed: flags.seed,
      device: { name: runtime.device, detail: runtime.detail, software: runtime.software },
      versions: versions(),
      pairs: {
        source: set.name,
        contentHash: set.contentHash,
        read: counts.read,
        kept: counts.kept,
        train: split.train.length,
        validation: split.validation.length,
        test: split.test.length,
        duplicates: counts.duplicates,
        equalTexts: counts.equalTexts,
        emptyTexts: counts.emptyTexts,
        conflicts: counts.conflicts,
        problems: counts.problems,
      },
      reference: judged.reference?.name ?? null,
      metrics: judged.figures,
      validation: extraction.validation,
      calibration: kept.calibration,
      threshold: kept.threshold,
      quantiles: Array.from(
        { length: QUANTILES },
        (_, at) => quantile(judged.training, at / (QUANTILES - 1)),
      ),
      settings: JSON.parse(JSON.stringify(settings)),
      licence: "Apache-2.0",
      created: new Date().toISOString(),
    },
  });
}

async function plots(
  flags: Flags,
  extraction: Extraction,
  { test, rewards, figures, reference }: Judged,
): Promise<Record<string, string>> {
  const shown = [...new Set(["irl", flags.method])] as Compared[];
  const gaps = (name: Compared) => {
    const values = rewards[name].rewards;
    return Float64Array.from(
      test.chosen,
      (row, pair) => values[row]! - values[test.rejected[pair]!]!,
    );
  };
  const result: Record<string, string> = {
    "rounds.svg": await roundsPlot(
      extraction.log.flatMap((line) =>
        line.kind === "round" ? [{ ...line, loss: line.losses.at(-1) ?? NaN }] : []
      ),
    ),
    "gaps.svg": await gapsPlot(Object.fromEntries(shown.map((name) => [name, gaps(name)]))),
  };
  const rows = [...test.labels.keys()].filter((row) => test.labels[row]! >= 0);
  const labels = rows.map((row) => test.labels[row]!);
  if (labels.includes(0) && labels.includes(1)) {
    const scores = (name: Compared) => rows.map((row) => rewards[name].rewards[row]!);
    const curve = (name: Compared) => new Ranked(scores(name), labels);
    result["roc.svg"] = await rocPlot(
      Object.fromEntries((Object.keys(rewards) as Compared[]).map((name) => [
        name,
        { points: thinned(curve(name).rocCurve()), auc: curve(name).rocAuc() },
      ])),
      rows.length,
    );
    result["reliability.svg"] = await reliabilityPlot(
      Object.fromEntries(shown.map((name) => [
        name,
        new Ranked(probabilities(rewards[name].calibration.text, scores(name)), labels)
          .reliability(10),
      ])),
    );
  }
  const starc = figures[flags.method].starc;
  if (reference && starc) {
    result["learned-against-reference.svg"] = await againstReferencePlot(
      { learned: rewards[flags.method].rewards, reference: reference.rewards },
      { learned: flags.method, reference: reference.name, starc: starc.value },
    );
  }
  return result;
}

/** A curve of some hundred points: more only make the file larger. */
function thinned<T>(points: readonly T[]): T[] {
  const every = Math.ceil(points.length / 300);
  return points.filter((_, at) => at % every === 0 || at === points.length - 1);
}

function featuresOf({ rows, rowOf, dimension }: Features, texts: readonly string[]) {
  const result = new Float32Array(texts.length * dimension);
  texts.forEach((text, at) => {
    const row = rowOf.get(text)!;
    result.set(rows.subarray(row * dimension, (row + 1) * dimension), at * dimension);
  });
  return result;
}
