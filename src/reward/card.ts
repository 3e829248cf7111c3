/** The card of a reward artefact: what it is, what it was made from, what it measured. */
import { z } from "zod";
import { FIGURES } from "./evaluate.ts";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 in hexadecimal is needed");
const count = z.number().int().nonnegative();
const interval = z.strictObject({
  value: z.number(),
  low: z.number().nullable(),
  high: z.number().nullable(),
  n: count,
});
const figures = z.strictObject(
  Object.fromEntries(FIGURES.map((figure) => [figure, interval.nullable()])) as Record<
    typeof FIGURES[number],
    z.ZodNullable<typeof interval>
  >,
);
const scaling = z.strictObject({ a: z.number(), b: z.number() });

/** `card.json`, version 1. Every number that a report prints about an artefact stands in it. */
export const cardSchema = z.strictObject({
  /** Version of this form. */
  format: z.literal(1),
  /** Which of the four rewards `reward.onnx` holds. */
  method: z.string(),
  /** The pair loss. */
  objective: z.string(),
  /** Form of the base path. */
  head: z.string(),
  /** `black`: texts alone. `white`: with both models' log-probabilities. */
  box: z.enum(["black", "white"]),
  /** What makes the features that `reward.onnx` takes; `name` opens it again. */
  encoder: z.strictObject({ name: z.string(), id: z.string(), dimension: count }),
  /** Order, initial weights, splits, bootstrap. */
  seed: z.number().int(),
  /** Where it was trained. */
  device: z.strictObject({ name: z.string(), detail: z.string(), software: z.boolean() }),
  /** What it was trained with. */
  versions: z.record(z.string(), z.string()),
  /** What it was trained on. */
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
  /** The reference reward of the STARC and EPIC figures. */
  reference: z.string().nullable(),
  /** Figures on the test pairs by reward: the four methods, `length` and `words`. */
  metrics: z.record(z.string(), figures),
  /** Separation of the validation pairs by method, in nats: what everything was chosen by. */
  validation: z.record(z.string(), z.number()),
  /** Fitted on validation pairs: P(not toxic | r) and P(chosen | gap). */
  calibration: z.strictObject({ text: scaling, pair: scaling }),
  /** Above it a text counts as not toxic. */
  threshold: z.number(),
  /** Rewards of training texts at even shares, ascending: what quantiles are read from. */
  quantiles: z.array(z.number()).min(2),
  /** Settings of the extraction. */
  settings: z.record(z.string(), z.unknown()),
  /** SHA-256 of the other files of the artefact by their path in it. */
  files: z.record(z.string(), sha256),
  /** Licence of the artefact. */
  licence: z.string(),
  /** When it was made (ISO 8601). The only part that two equal runs do not share. */
  created: z.string(),
});

/** What a reward artefact says of itself. */
export type Card = z.infer<typeof cardSchema>;
