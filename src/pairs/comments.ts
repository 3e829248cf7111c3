/** Short comments that a small language model can learn to write. */
import { Random } from "../base/mod.ts";
import { loadDavidson } from "./davidson.ts";
import { normaliseText } from "./normalise.ts";
import { loadParadetox } from "./paradetox.ts";
import type { LabelledText } from "./set.ts";
import type { FetchOptions } from "./sources.ts";

const ENTITIES: Readonly<Record<string, string>> = { amp: "and", lt: " ", gt: " ", quot: " " };
/** Words, numbers and the marks of plain sentences. */
const PLAIN = /^[\p{L}\p{N}\s.,!?;:'$%()*@-]+$/u;
const TWEET_PARTS = [
  /\brt\b[^:]{0,20}:?/giu,
  /https?:\S+|\bpic\.twitter\S*/giu,
  /@\w+:?/gu,
  /#(?=\w)|[_~^|<>=+/\\]+/gu,
];

/** A comment and where it is from. */
export interface Comment extends LabelledText {
  /** The data set. */
  readonly source: "paradetox" | "davidson";
}

/**
 * The text of a tweet as a plain comment: without mentions, links, retweet marks and emoji; undefined
 * where less than three words or more than thirty are left, or where it is not of plain words.
 */
export function plainComment(text: string): string | undefined {
  let plain = text
    .replace(/&#\d+;/gu, " ")
    .replace(/&(\w+);/gu, (_, name: string) => ENTITIES[name] ?? " ")
    .replace(/[\p{Extended_Pictographic}\p{Emoji_Modifier}\u{FE0F}\u{200D}]/gu, " ");
  for (const part of TWEET_PARTS) plain = plain.replace(part, " ");
  plain = normaliseText(plain).replace(/^[^\p{L}\p{N}]+/u, "").replace(/(\p{L})\1{2,}/gu, "$1$1");
  const words = plain.split(" ");
  return words.length >= 3 && words.length <= 30 && PLAIN.test(plain) ? plain : undefined;
}

/**
 * Comments of ParaDetox (both sides) and Davidson (class hate speech left out), cleaned by
 * {@linkcode plainComment}, each once, in an order that the seed fixes.
 *
 * @throws FairlError as {@linkcode fetchSource} does
 */
export async function loadComments(
  options: FetchOptions & { readonly seed?: number } = {},
): Promise<Comment[]> {
  const [sentences, tweets] = await Promise.all([
    loadParadetox(options),
    loadDavidson(options),
  ]);
  const found = new Map<string, Comment>();
  const add = (given: string, toxic: boolean, source: Comment["source"]) => {
    const text = plainComment(given);
    if (text !== undefined && !found.has(text)) found.set(text, { text, toxic, source });
  };
  for (const { toxic, neutral } of sentences) {
    add(toxic, true, "paradetox");
    for (const text of neutral) add(text, false, "paradetox");
  }
  for (const { text, toxic, hate, offensive, neither } of tweets) {
    if (hate <= Math.max(offensive, neither)) add(text, toxic, "davidson");
  }
  return new Random(options.seed ?? 0, "comments").shuffle([...found.values()]);
}
