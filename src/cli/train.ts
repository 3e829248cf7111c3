/** `fairl train`: the walk from preference pairs to an artefact. */
import { z } from "zod";
import { FairlError, type Progress, sha256 } from "../base/mod.ts";
import { openEncoder } from "../encode/mod.ts";
import {
  defaultSettings,
  extract,
  type Extraction,
  type ExtractionSettings,
  keptIn,
  METHODS,
  OBJECTIVES,
} from "../irl/mod.ts";
import {
  BASELINES,
  loadPairs,
  type PairSet,
  type PairSplit,
  type PreferencePair,
  splitPairs,
  textsOf,
} from "../pairs/mod.ts";
import {
  calibrate,
  type Calibration,
  evaluate,
  evaluateHead,
  type Figures,
  type JudgedTexts,
  judgedTexts,
  type Judgement,
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
import { loadReference } from "./reference.ts";
import { note, print, terminalProgress } from "./terminal.ts";

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
const COMPARED = [...METHODS, "length", "words"] as const;
type Compared = typeof COMPARED[number];

/**
 * Runs the command.
 *
 * @throws FairlError for anything a user can mend; `AbortError` after Ctrl-C
 */
export async function train(values: unknown): Promise<void> {
  const flags = checked(schema, values);
  await refuseForeignFolder(flags.out);
  await interruptible(async (signal) => {
    await using runtime = await Runtime.open(flags.device);
    note(`device: ${runtime.device}, ${runtime.detail} (${runtime.why})`);
    await walk({ flags, runtime, signal, progress: terminalProgress() });
  });
}

async function walk(context: Walk): Promise<void> {
  const { flags, runtime, progress, signal } = context;
  const started = performance.now();
  const set = await loadPairs(flags.pairs, {
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

  const extraction = await fit(context, set, split, features);
  const fitted = performance.now();

  const judged = await judge(context, set, split, features, extraction);
  const artefact = await save(context, set, split, extraction, judged);
  await Deno.remove(unfinishedFolder(flags.out), { recursive: true }).catch(() => {});

  const seconds = (from: number, to: number) => Math.round(to - from) / 1000;
  const summary = {
    artefact,
    device: runtime.device,
    encoder: features.encoder,
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
  print(figuresTable(judged.figures));
  print(
    `${flags.method} with ${flags.objective} on ${runtime.device}: encoded in ` +
      `${summary.seconds.encode} s, trained in ${summary.seconds.train} s, ` +
      `${summary.seconds.total} s in all`,
  );
  print(`${artefact}: reward.onnx, card.json, README.md, training.jsonl, plots/`);
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
}

/** Features of the set's distinct texts. */
interface Features {
  /** What made them. */
  readonly encoder: string;
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
      encoder: "features",
      dimension: set.truth.dimension!,
      rows: set.truth.features,
      rowOf: new Map(set.truth.texts.map((text, row) => [text, row])),
    };
  }
  await using encoder = await openEncoder(flags.encoder ?? DEFAULT_ENCODER, {
    device: flags.device,
    cache: cacheFolder(),
  });
  const rows = await encoder.encode(texts, { progress, signal });
  return {
    encoder: encoder.id,
    dimension: encoder.dimension,
    rows,
    rowOf: new Map(texts.map((text, row) => [text, row])),
  };
}

const DEFAULT_ENCODER = "use-lite";

async function fit(
  { flags, runtime, progress, signal }: Walk,
  set: PairSet,
  split: PairSplit,
  features: Features,
): Promise<Extraction> {
  const defaults = defaultSettings(flags.objective, flags.seed);
  const settings: ExtractionSettings = flags.head === "mlp"
    ? { ...defaults, head: defaults.correctionShape }
    : defaults;
  const folder = unfinishedFolder(flags.out);
  if (!flags.resume) await Deno.remove(folder, { recursive: true }).catch(() => {});
  const fingerprint = sha256(JSON.stringify({
    pairs: set.contentHash,
    encoder: features.encoder,
    settings,
    device: runtime.device,
    detail: runtime.detail,
  }));
  const row = (text: string) => features.rowOf.get(text)!;
  return await extract(
    runtime,
    {
      features: features.rows,
      dimension: features.dimension,
      chosen: Int32Array.from(set.pairs, (pair) => row(pair.chosen)),
      rejected: Int32Array.from(set.pairs, (pair) => row(pair.rejected)),
      train: split.train,
      validation: split.validation,
    },
    settings,
    { progress, signal, stages: keptIn(folder, fingerprint) },
  );
}

/** Where the finished stages of a run that was stopped wait for `--resume`. */
function unfinishedFolder(out: string): string {
  return `${out.replace(/[\\/]+$/, "")}.unfinished`;
}

/** What was measured on the test pairs, and what the plots draw. */
interface Judged {
  readonly test: JudgedTexts;
  readonly figures: Record<Compared, Figures>;
  readonly rewards: Record<Compared, Judgement>;
  /** Rewards of the training texts under the reward that is kept, in ascending order. */
  readonly training: Float32Array;
  readonly reference: NamedReference | undefined;
}

async function judge(
  context: Walk,
  set: PairSet,
  split: PairSplit,
  features: Features,
  { heads }: Extraction,
): Promise<Judged> {
  const { flags, runtime } = context;
  const pairsOf = (part: Int32Array) => Array.from(part, (at) => set.pairs[at]!);
  const [train, validation, test] = [split.train, split.validation, split.test].map((part) =>
    judgedTexts(pairsOf(part))
  ) as [JudgedTexts, JudgedTexts, JudgedTexts];

  const rewards = {} as Record<Compared, Judgement>;
  const scorers = {} as Record<Compared, (judged: JudgedTexts) => Promise<ArrayLike<number>>>;
  for (const method of METHODS) {
    scorers[method] = ({ texts }) =>
      evaluateHead(runtime, heads[method], featuresOf(features, texts));
  }
  for (const baseline of BASELINES) {
    if (baseline.name === "casing") continue;
    const score = baseline.fit(pairsOf(split.train));
    scorers[baseline.name as Compared] = ({ texts }) => Promise.resolve(texts.map(score));
  }
  for (const name of COMPARED) {
    rewards[name] = {
      rewards: await scorers[name](test),
      threshold: trainingThreshold(train, await scorers[name](train)),
      calibration: calibrate(validation, await scorers[name](validation)),
    };
  }
  const reference = await openNamedReference(context, set, test);
  const figures = evaluate(test, rewards, {
    seed: flags.seed,
    ...(reference ? { reference: reference.rewards } : {}),
  });
  const training = Float32Array.from(await scorers[flags.method](train)).sort();
  return { test, figures, rewards, training, reference };
}

function featuresOf({ rows, rowOf, dimension }: Features, texts: readonly string[]) {
  const result = new Float32Array(texts.length * dimension);
  texts.forEach((text, at) => {
    const row = rowOf.get(text)!;
    result.set(rows.subarray(row * dimension, (row + 1) * dimension), at * dimension);
  });
  return result;
}

/** A folder that is there and holds something else than an artefact is not ours to replace. */
async function refuseForeignFolder(out: string): Promise<void> {
  let names: string[];
  try {
    names = (await Array.fromAsync(Deno.readDir(out))).map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.NotADirectory) names = ["a file"];
    else throw error;
  }
  if (names.length > 0 && !names.includes("card.json")) {
    throw new FairlError(
      "cli.out",
      `--out: ${out} is there and is no artefact; name a folder that is empty or new`,
    );
  }
}
