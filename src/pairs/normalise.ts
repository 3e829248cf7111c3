/** One way of writing for both sides of a pair, so that a reward cannot live on typography. */

const QUOTES = /[‘’‛`´]/gu;
// Pairs of them are often torn apart by the tokeniser, so no use of them can be compared.
const DOUBLE_QUOTES = /["“”„«»]|''/gu;
const SPACE_BEFORE = /\s+(?=[.,!?;:%)\]}])/gu;
const SPACE_AFTER_OPENING = /(?<=[([{$#])\s+/gu;
const SPLIT_CONTRACTION = /(?<=\p{L})\s+'\s*(?=(?:s|m|re|ll|ve|d|t|n)\b)/gu;
const SPLIT_CONTRACTION_RIGHT = /(?<=\p{L}')\s+(?=(?:s|m|re|ll|ve|d|t)\b)/gu;
const PUNCTUATION_RUN = /([.,!?;:])[.,!?;:]*/gu;
const GLUED = /(?<=[,;!?])(?=\p{L})/gu;
const CLOSING = /[\s.,!?;:]+$/u;

/**
 * Takes out of a text what tells the two sides of ParaDetox apart without being toxic: letter
 * case, spaces around punctuation and inside contractions ("don 't"), the kind of quotation marks,
 * runs of punctuation, and the marks at the end (the neutral side was typed by people who close
 * their sentences, the toxic side was tokenised). Our choice; what is left for length and casing
 * to find is printed with every report.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { normaliseText } from "./normalise.ts";
 * assert(normaliseText("i don 't know , sir ! ! !") === "i don't know, sir");
 * assert(normaliseText("I don’t know, sir.") === "i don't know, sir");
 * ```
 */
export function normaliseText(text: string): string {
  return text.normalize("NFKC").toLowerCase()
    .replace(QUOTES, "'")
    .replace(DOUBLE_QUOTES, " ")
    .replace(SPLIT_CONTRACTION, "'")
    .replace(SPLIT_CONTRACTION_RIGHT, "")
    .replace(SPACE_BEFORE, "")
    .replace(SPACE_AFTER_OPENING, "")
    .replace(PUNCTUATION_RUN, "$1")
    .replace(GLUED, " ")
    .replace(CLOSING, "")
    .replace(/\s+/gu, " ")
    .trim();
}
