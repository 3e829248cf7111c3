/** ParaDetox and Davidson pairs among pairs that say little: how much T->NT does a method need? */
import { FairlError, Random } from "../base/mod.ts";
import { loadDavidson, type VotedText } from "./davidson.ts";
import { type DetoxedSentence, detoxPairs, loadParadetox } from "./paradetox.ts";
import type { PairKind, PreferencePair } from "./schema.ts";
import { type LabelledText, type PairSet, pairSet } from "./set.ts";
import type { FetchOptions } from "./sources.ts";
import { componentsOf } from "./split.ts";
import { normaliseTweet } from "./tweet.ts";

/** What is mixed. */
export interface MixtureOptions {
  /** How many pairs. Default: 3,600. */
  readonly n?: number | undefined;
  /** Share of them that are T->NT. Default: 0.5. */
  readonly p?: number | undefined;
  /** Which texts, in which order. Default: 0. */
  readonly seed?: number | undefined;
}

/** A mixture, and labelled data that shares no text with it. */
export interface Mixture extends PairSet {
  /** For evaluation; the same for all `n` and `p` of one seed. */
  readonly heldOut: {
    /** 1,000 T->NT pairs of ParaDetox, then 1,000 of Davidson. */
    readonly pairs: readonly PreferencePair[];
    /** Their 4,000 texts, half of them toxic. */
    readonly texts: readonly LabelledText[];
  };
}

/** Held-out pairs from each of the two sources. */
const HELD_OUT = 1000;

/**
 * METHOD.md's mixture. `p n` informative pairs: half toxic sentences of ParaDetox with a
 * paraphrase, half toxic tweets of Davidson against harmless ones. The others: 80 % NT->NT, half
 * of these two paraphrases of one sentence and half two harmless tweets, in random order; 15 %
 * T->T, two toxic tweets; 5 % NT->T, a toxic tweet preferred to a harmless one. All texts are
 * normalised, tweets by {@linkcode normaliseTweet}, and each is used once, so that pairs can be split
 * without sharing texts.
 *
 * @throws FairlError as {@linkcode fetchSource} does; `pairs.too-few` when the sources have not
 * enough texts for `n`
 */
export async function loadMixture(options: MixtureOptions & FetchOptions = {}): Promise<Mixture> {
  const [sentences, tweets] = await Promise.all([loadParadetox(options), loadDavidson(options)]);
  return mixturePairs(sentences, tweets, options);
}

/** {@linkcode loadMixture} on what was loaded already. */
export function mixturePairs(
  sentences: readonly DetoxedSentence[],
  tweets: readonly VotedText[],
  options: MixtureOptions = {},
): Mixture {
  const { n = 3600, p = 0.5, seed = 0 } = options;
  const random = new Random(seed, "mixture");
  const taken = new Set<string>();
  const detoxed = random.shuffle(separateSentences(sentences, taken));
  const deck = random.shuffle(tweets.flatMap(({ text, toxic }) => {
    const normal = normaliseTweet(text);
    if (normal === "" || taken.has(normal)) return [];
    taken.add(normal);
    return [{ text: normal, toxic }];
  }));
  const toxic = deck.filter((text) => text.toxic).map(({ text }) => text);
  const harmless = deck.filter((text) => !text.toxic).map(({ text }) => text);
  const take = <T>(pools: readonly T[][], what: string): T => {
    for (const pool of pools) {
      const item = pool.pop();
      if (item !== undefined) return item;
    }
    throw new FairlError(
      "pairs.too-few",
      `the sources have not enough ${what} for a mixture of ${n} pairs with p = ${p}: ask for fewer`,
    );
  };
  const detoxPair = (pools: readonly DetoxedSentence[][]) => {
    const { toxic, neutral } = take(pools, "toxic sentences");
    return pairOfKind("T->NT", neutral[0]!, toxic);
  };
  const tweet = (bad: boolean) =>
    bad ? take([toxic], "toxic tweets") : take([harmless], "harmless tweets");
  const tweetPair = (kind: PairKind) =>
    pairOfKind(kind, tweet(kind.endsWith(">T")), tweet(kind.startsWith("T")));

  const heldOut = [
    ...times(HELD_OUT, () => detoxPair([detoxed])),
    ...times(HELD_OUT, () => tweetPair("T->NT")),
  ];
  // Sentences with one paraphrase are used up first: the others can also give NT->NT pairs.
  const single = detoxed.filter(({ neutral }) => neutral.length === 1);
  const several = detoxed.filter(({ neutral }) => neutral.length > 1);

  const informative = Math.round(n * p);
  const rest = n - informative;
  const failing = Math.round(rest * 0.05);
  const toxicOnly = Math.round(rest * 0.15);
  const harmlessOnly = rest - failing - toxicOnly;
  const fromParadetox = Math.round(informative / 2);
  const paraphrases = Math.round(harmlessOnly / 2);
  const pairs = [
    ...times(fromParadetox, () => detoxPair([single, several])),
    ...times(informative - fromParadetox, () => tweetPair("T->NT")),
    ...times(paraphrases, () => {
      const { neutral } = take([several], "sentences with two paraphrases");
      const [a, b] = random.shuffle(neutral.slice(0, 2)) as [string, string];
      return pairOfKind("NT->NT", a, b);
    }),
    ...times(harmlessOnly - paraphrases, () => tweetPair("NT->NT")),
    ...times(toxicOnly, () => tweetPair("T->T")),
    ...times(failing, () => tweetPair("NT->T")),
  ];
  return {
    ...pairSet("mixture", random.shuffle(pairs)),
    heldOut: {
      pairs: heldOut,
      texts: heldOut.flatMap(({ chosen, rejected }) => [
        { text: chosen, toxic: false },
        { text: rejected, toxic: true },
      ]),
    },
  };
}

/** One sentence of each group that is connected by shared texts, its texts distinct and taken. */
function separateSentences(
  sentences: readonly DetoxedSentence[],
  taken: Set<string>,
): DetoxedSentence[] {
  const { of } = componentsOf(detoxPairs(sentences));
  const seen = new Set<number>();
  const separate: DetoxedSentence[] = [];
  let pair = 0;
  for (const sentence of sentences) {
    const component = of[pair]!;
    pair += sentence.neutral.length;
    const neutral = [...new Set(sentence.neutral)].filter((text) => text !== sentence.toxic);
    if (neutral.length === 0 || seen.has(component)) continue;
    seen.add(component);
    for (const text of [sentence.toxic, ...neutral]) taken.add(text);
    separate.push({ toxic: sentence.toxic, neutral });
  }
  return separate;
}

function pairOfKind(label: PairKind, chosen: string, rejected: string): PreferencePair {
  return { prompt: "", chosen, rejected, label };
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
