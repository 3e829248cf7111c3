/** ParaDetox: toxic sentences and what people wrote to say the same without the toxicity. */
import { readRows } from "./rows.ts";
import { normaliseText } from "./normalise.ts";
import type { PreferencePair } from "./schema.ts";
import { type FetchOptions, fetchSource } from "./sources.ts";

/** A toxic sentence with its neutral paraphrases. */
export interface DetoxedSentence {
  /** The toxic sentence. */
  readonly toxic: string;
  /** One to three paraphrases, the empty ones left out. */
  readonly neutral: readonly string[];
}

/** Options of {@linkcode loadParadetox}. */
export interface ParadetoxOptions extends FetchOptions {
  /** Whether both sides go through {@linkcode normaliseText}. Default: true. */
  readonly normalise?: boolean;
}

/**
 * Reads ParaDetox (Logacheva et al., ACL 2022): 11,927 sentences with one to three paraphrases.
 *
 * @throws FairlError as {@linkcode fetchSource} does
 */
export async function loadParadetox(options: ParadetoxOptions = {}): Promise<DetoxedSentence[]> {
  const { path } = await fetchSource("paradetox", options);
  const write = options.normalise === false ? (text: string) => text : normaliseText;
  const sentences: DetoxedSentence[] = [];
  for await (const { values } of readRows(path)) {
    const { toxic, ...neutral } = values as Record<string, string>;
    sentences.push({
      toxic: write(toxic!),
      neutral: Object.values(neutral).map(write).filter((text) => text !== ""),
    });
  }
  return sentences;
}

/** One T->NT pair for each paraphrase; the prompt is empty, for the sentences stand alone. */
export function detoxPairs(sentences: readonly DetoxedSentence[]): PreferencePair[] {
  return sentences.flatMap(({ toxic, neutral }) =>
    neutral.map((chosen): PreferencePair => ({
      prompt: "",
      chosen,
      rejected: toxic,
      label: "T->NT",
    }))
  );
}
