/** Davidson et al.'s tweets, which people voted to be hate speech, offensive, or neither. */
import { Random } from "../base/mod.ts";
import { readRows } from "./rows.ts";
import type { PreferencePair } from "./schema.ts";
import type { LabelledText } from "./set.ts";
import { type FetchOptions, fetchSource } from "./sources.ts";

/** A tweet and how many people voted for each class. */
export interface VotedText extends LabelledText {
  /** Votes for hate speech. */
  readonly hate: number;
  /** Votes for offensive language. */
  readonly offensive: number;
  /** Votes for neither. */
  readonly neither: number;
}

/**
 * Reads the 24,783 tweets of Davidson et al. (ICWSM 2017) as they are. A tweet is toxic when
 * most votes said hate speech or offensive (class 0 or 1).
 *
 * @throws FairlError as {@linkcode fetchSource} does
 */
export async function loadDavidson(options: FetchOptions = {}): Promise<VotedText[]> {
  const { path } = await fetchSource("davidson", options);
  const texts: VotedText[] = [];
  for await (const { values } of readRows(path)) {
    const row = values as Record<string, string>;
    texts.push({
      text: row.tweet!,
      toxic: row.class !== "2",
      hate: Number(row.hate_speech),
      offensive: Number(row.offensive_language),
      neither: Number(row.neither),
    });
  }
  return texts;
}

/**
 * Sets a toxic tweet against a harmless one, at random and each tweet once: 4,163 pairs, since
 * there are that many harmless ones.
 */
export function davidsonPairs(texts: readonly VotedText[], seed: number): PreferencePair[] {
  const random = new Random(seed, "davidson pairs");
  const toxic = random.shuffle(texts.filter((text) => text.toxic));
  const harmless = random.shuffle(texts.filter((text) => !text.toxic));
  return harmless.slice(0, toxic.length).map((chosen, at) => ({
    prompt: "",
    chosen: chosen.text,
    rejected: toxic[at]!.text,
    label: "T->NT",
  }));
}
