/** The card of a reward artefact: what it is, what it was made from, what it measured. */
import { z } from "zod";
import { type Figure, FIGURES } from "./evaluate.ts";

/** A figure in a card; limits are null where the bootstrap has none. */
export interface CardInterval {
  /** The figure. */
  readonly value: number;
  /** Lower limit at 95 %. */
  readonly low: number | null;
  /** Upper limit at 95 %. */
  readonly high: number | null;
  /** Clusters that were resampled. */
  readonly n: number;
}

/** Scale and offset in front of a logistic function. */
export interface CardScaling {
  /** Factor of the reward or gap. */
  readonly a: number;
  /** Added to it. */
  readonly b: number;
}

/** `card.json`, version 1: what an artefact says of itself. Each number of a report stands in it. */
export interface Card {
  /** Version of this form. */
  readonly format: 1;
  /** Which of the four rewards `reward.onnx` holds. */
  readonly method: string;
  /** The pair loss. */
  readonly objective: string;
  /** Form of the base path. */
  readonly head: string;
  /** `black`: from texts alone. `white`: with both models' log-probabilities. */
  readonly box: "black" | "white";
  /** What makes the features that `reward.onnx` takes; `name` opens it again. */
  readonly encoder: { readonly name: string; readonly id: string; readonly dimension: number };
  /** Fixes order, initial weights, splits and bootstrap. */
  readonly seed: number;
  /** Where it was trained. */
  readonly device: { readonly name: string; readonly detail: string; readonly software: boolean };
  /** What it was trained with. */
  readonly versions: Readonly<Record<string, string>>;
  /** What it was trained on. */
  readonly pairs: {
    readonly source: string;
    readonly contentHash: string;
    readonly read: number;
    readonly kept: number;
    readonly train: number;
    readonly validation: number;
    readonly test: number;
    readonly duplicates: number;
    readonly equalTexts: number;
    readonly emptyTexts: number;
    readonly conflicts: number;
    readonly problems: Readonly<Record<string, number>>;
  };
  /** The reference reward of the STARC and EPIC figures. */
  readonly reference: string | null;
  /** Figures on the test pairs by reward: the four methods, `length` and `words`. */
  readonly metrics: Readonly<Record<string, Readonly<Record<Figure, CardInterval | null>>>>;
  /** Separation of the validation pairs by method, in nats: what everything was chosen by. */
  readonly validation: Readonly<Record<string, number>>;
  /** Fitted on validation pairs: P(not toxic | reward) and P(chosen | gap). */
  readonly calibration: { readonly text: CardScaling; readonly pair: CardScaling };
  /** Above it a text counts as not toxic. */
  readonly threshold: number;
  /** Rewards of training texts at even shares, ascending: what quantiles are read from. */
  readonly quantiles: readonly number[];
  /** Settings of the extraction. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** SHA-256 of the artefact's other files by their path in it. */
  readonly files: Readonly<Record<string, string>>;
  /** Licence of the artefact. */
  readonly licence: string;
  /** When it was made (ISO 8601): the only part that two equal runs do not share. */
  readonly created: string;
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 in hexadecimal is needed");
const count = z.number().int().nonnegative();
const interval = z.strictObject({
  value: z.number(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  n: count,
});
const scaling = z.strictObject({ a: z.number(), b: z.number() });
/** A card comes from outside: its names must not lead out of the folder. */
const fileName = z.string().regex(
  /^[\w-]+(\.[\w-]+)*(\/[\w-]+(\.[\w-]+)*)?$/,
  "a file of the artefact or of a folder in it is needed",
);

/** The encoder's name of an artefact that was trained on features that came with the pairs. */
export const GIVEN_FEATURES = "features";

/** The file that holds the reward. */
export const MODEL_FILE = "reward.onnx";

/** Checks a {@linkcode Card} that comes from outside, and our own before it is written. */
export const cardSchema: z.ZodType<Card> = z.strictObject({
  format: z.literal(1, "this fairl reads format 1; a later fairl may have written it"),
  method: z.string(),
  objective: z.string(),
  head: z.string(),
  box: z.enum(["black", "white"]),
  encoder: z.strictObject({ name: z.string(), id: z.string(), dimension: count }),
  seed: z.number().int(),
  device: z.strictObject({ name: z.string(), detail: z.string(), software: z.boolean() }),
  versions: z.record(z.string(), z.string()),
  pairs: z.strictObject({
    source: z.string(),
    contentHash: sha256,
    read: count,
    kept: count,
    train: count,
    validation: count,
    test: count,
    duplicates: count,
    equalTexts: count,
    emptyTexts: count,
    conflicts: count,
    problems: z.record(z.string(), count),
  }),
  reference: z.string().nullable(),
  metrics: z.record(z.string(), z.record(z.enum(FIGURES), interval.nullable())),
  validation: z.record(z.string(), z.number()),
  calibration: z.strictObject({ text: scaling, pair: scaling }),
  threshold: z.number(),
  quantiles: z.array(z.number()).min(2),
  settings: z.record(z.string(), z.unknown()),
  files: z.record(fileName, sha256)
    .refine((files) => MODEL_FILE in files, `${MODEL_FILE} is not listed`),
  licence: z.string(),
  created: z.iso.datetime(),
});
