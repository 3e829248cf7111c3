/** What of a tweet is its writing, and what is how it was sent. */
import { normaliseText } from "./normalise.ts";

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', amp: "&" };
const ENTITY = /&(?:#(\d{1,7})|(lt|gt|quot|amp));/gu;
const ADDRESS = /https?:\/\/\S+|www\.\S+/giu;
const PERSON = /@\w+:?/gu;
const PASSED_ON = /\bRT\b/gu;
const PICTURE = /\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u200d|\ufe0f/gu;

/**
 * A tweet without addresses, names of people, the mark of passing on and pictures, its character
 * entities read, then {@linkcode normaliseText} (C; Davidson et al. strike out addresses and names
 * themselves before they read a tweet). None of these words is toxic or harmless, yet toxic tweets
 * have more pictures and names and harmless ones more addresses: what learns from them learns that.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { normaliseTweet } from "./tweet.ts";
 * const tweet = "RT @someone: You &amp; me, every day! &#128514; http://t.co/pz55t90z";
 * assert(normaliseTweet(tweet) === "you & me, every day");
 * assert(normaliseTweet(normaliseTweet(tweet)) === normaliseTweet(tweet));
 * ```
 */
export function normaliseTweet(text: string): string {
  // Twice: an ampersand of an entity is often written as one.
  const read = readEntities(readEntities(text));
  return normaliseText(
    read.replace(ADDRESS, " ").replace(PERSON, " ").replace(PASSED_ON, " ").replace(PICTURE, " "),
  );
}

function readEntities(text: string): string {
  return text.replace(ENTITY, (whole, code: string | undefined, name: string | undefined) => {
    if (name !== undefined) return ENTITIES[name]!;
    const point = Number(code);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}
