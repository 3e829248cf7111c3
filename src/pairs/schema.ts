/** What a preference pair is, and how one row of somebody's file becomes one. */
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { type Message, readDialogue, render, sharedMessages } from "./chat.ts";

/** The kinds of pairs, base -> aligned, that is rejected -> chosen; T is toxic, NT is not. */
export const PAIR_KINDS = ["T->NT", "T->T", "NT->NT", "NT->T"] as const;

/** One of {@linkcode PAIR_KINDS}. */
export type PairKind = typeof PAIR_KINDS[number];

/** One comparison: on `prompt`, the aligned model wrote `chosen` and the base model `rejected`. */
export interface PreferencePair {
  /** What both completions answer; empty where texts stand alone. */
  prompt: string;
  /** The completion of the aligned model, or the preferred one. */
  chosen: string;
  /** The completion of the base model, or the other one. */
  rejected: string;
  /** The reference reward of `chosen`, on any scale. */
  chosenReference?: number;
  /** The reference reward of `rejected`, on the same scale. */
  rejectedReference?: number;
  /** Which side is toxic, where somebody judged it. */
  label?: PairKind;
  /** A subgroup to report on by itself. */
  group?: string;
}

const message = z.object({
  role: z.string(),
  content: z.union([
    z.string(),
    z.array(z.object({ type: z.literal("text"), text: z.string() }))
      .transform((parts) => parts.map((part) => part.text).join("")),
  ]),
});
const text = z.union([z.string(), z.array(message)]);

/** Null and the empty cell of a table both say that there is no value. */
const absent = (value: unknown) => value === null || value === "" ? undefined : value;
const reference = z.preprocess(
  absent,
  z.union([
    z.number(),
    z.bigint().transform(Number),
    z.string().transform(Number).pipe(z.number()),
  ]).optional(),
);

const row = z.object({
  prompt: text.nullish(),
  chosen: text,
  rejected: text,
  chosen_reference: reference,
  rejected_reference: reference,
  label: z.preprocess(absent, z.enum(PAIR_KINDS).optional()),
  group: z.preprocess(absent, z.union([z.string(), z.number(), z.bigint()]).optional()),
});

/**
 * Reads one row: `prompt, chosen, rejected` or `prompt, base, aligned` as texts or chat messages
 * (the shapes of TRL), with or without an explicit prompt (HH-RLHF has none: both sides begin
 * with the same dialogue), and optionally `chosen_reference, rejected_reference, label, group`.
 * Other columns are ignored.
 *
 * @param values The row by column name
 * @throws FairlError `pairs.missing-column`, `pairs.bad-value` or `pairs.bad-utf8`
 *
 * @example A row with chat messages and an implicit prompt
 * ```ts
 * import { assert } from "@std/assert";
 * import { pairOf } from "./schema.ts";
 * const question = { role: "user", content: "Is it raining?" };
 * const pair = pairOf({
 *   chosen: [question, { role: "assistant", content: "Yes, take a coat." }],
 *   rejected: [question, { role: "assistant", content: "Look out of the window." }],
 * });
 * assert(pair.prompt === "Is it raining?" && pair.chosen === "Yes, take a coat.");
 * ```
 */
export function pairOf(values: Record<string, unknown>): PreferencePair {
  const renamed = !("chosen" in values || "rejected" in values) &&
    ("aligned" in values || "base" in values);
  const parsed = row.safeParse(
    renamed ? { ...values, chosen: values.aligned, rejected: values.base } : values,
  );
  if (!parsed.success) throw problemWith(parsed.error, values, renamed);
  const { chosen_reference, rejected_reference, label, group } = parsed.data;
  const pair: PreferencePair = textsOfRow(
    parsed.data.prompt ?? "",
    parsed.data.chosen,
    parsed.data.rejected,
  );
  if (!(pair.prompt.isWellFormed() && pair.chosen.isWellFormed() && pair.rejected.isWellFormed())) {
    throw new FairlError("pairs.bad-utf8", "a text has half of a surrogate pair in it");
  }
  if (chosen_reference !== undefined) pair.chosenReference = chosen_reference;
  if (rejected_reference !== undefined) pair.rejectedReference = rejected_reference;
  if (label !== undefined) pair.label = label;
  if (group !== undefined) pair.group = String(group);
  return pair;
}

type Side = string | Message[];

function textsOfRow(prompt: Side, chosen: Side, rejected: Side): PreferencePair {
  if (typeof chosen === "string" || typeof rejected === "string") {
    if (prompt.length === 0 && typeof chosen === "string" && typeof rejected === "string") {
      return readDialogue(chosen, rejected);
    }
    return { prompt: render(prompt), chosen: render(chosen), rejected: render(rejected) };
  }
  const shared = sharedMessages(chosen, rejected);
  const opening = render(chosen.slice(0, shared));
  const given = render(prompt);
  return {
    // Some sets give the prompt and repeat it as the first message on both sides.
    prompt: [given === opening ? "" : given, opening].filter(Boolean).join("\n\n"),
    chosen: render(chosen.slice(shared)),
    rejected: render(rejected.slice(shared)),
  };
}

function problemWith(
  error: z.ZodError,
  values: Record<string, unknown>,
  renamed: boolean,
): FairlError {
  const name = String(error.issues[0]!.path[0]);
  const column = !renamed
    ? name
    : name === "chosen"
    ? "aligned"
    : name === "rejected"
    ? "base"
    : name;
  if (values[column] === undefined || values[column] === null) {
    return new FairlError("pairs.missing-column", `there is no "${column}"`);
  }
  const wanted: Record<string, string> = {
    chosen_reference: "a finite number",
    rejected_reference: "a finite number",
    label: `one of ${PAIR_KINDS.join(", ")}`,
    group: "a text or a number",
  };
  return new FairlError(
    "pairs.bad-value",
    `"${column}" is not ${wanted[name] ?? "a text or a list of chat messages"}`,
  );
}
