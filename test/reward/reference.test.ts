/** The references on public data, and the figures by hand. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import { openEncoder } from "../../src/encode/mod.ts";
import { pairAccuracy, Ranked } from "../../src/metrics/mod.ts";
import { detoxPairs, loadDavidson, loadParadetox, normaliseText } from "../../src/pairs/mod.ts";
import type { PreferencePair } from "../../src/pairs/mod.ts";
import {
  columnReference,
  davidsonReference,
  evaluate,
  FIGURES,
  type JudgedTexts,
  judgedTexts,
  lexiconReference,
  trainingThreshold,
} from "../../src/reward/mod.ts";
import { Runtime } from "../../src/runtime/mod.ts";

/** Davidson's tweets as the reference sees them, each text once, in an order of our own. */
async function tweets(): Promise<{ text: string; toxic: boolean }[]> {
  const byText = new Map<string, boolean>();
  for (const { text, toxic } of await loadDavidson()) byText.set(normaliseText(text), toxic);
  byText.delete("");
  const all = Array.from(byText, ([text, toxic]) => ({ text, toxic }));
  return new Random(1, "held-out tweets").shuffle(all);
}

function auc(scores: ArrayLike<number>, tweets: readonly { toxic: boolean }[]): number {
  return new Ranked(scores, tweets.map(({ toxic }) => toxic ? 0 : 1)).rocAuc();
}

Deno.test("davidson tells 4,000 tweets that it must not learn from with an AUC above 0.95", async () => {
  const heldOut = (await tweets()).slice(0, 4000);
  await using runtime = await Runtime.open("auto");
  await using encoder = await openEncoder("use-lite", { device: "auto" });
  // What it encodes is what it learns from, until it is asked to score.
  const learnedFrom = new Set<string>();
  const watched = new Proxy(encoder, {
    get(target, name) {
      if (name === "encode") {
        return (texts: readonly string[]) => {
          for (const text of texts) learnedFrom.add(text);
          return target.encode(texts);
        };
      }
      return Reflect.get(target, name, target);
    },
  });
  const exclude = new Set(heldOut.map(({ text }) => text));
  const reference = await davidsonReference(runtime, watched, { exclude });
  assertEquals(heldOut.filter(({ text }) => learnedFrom.has(text)), []);
  assert(learnedFrom.size > 1900, `${learnedFrom.size}`);
  const scores = await reference.score(heldOut.map(({ text }) => text));
  assert(auc(scores, heldOut) > 0.95, `AUC ${auc(scores, heldOut)}`);
});

Deno.test("the lexicon ranks over 94 % of ParaDetox pairs right and tells tweets with an AUC above 0.9", async () => {
  const lexicon = await lexiconReference();
  const pairs = detoxPairs(await loadParadetox());
  const [chosen, rejected] = await Promise.all([
    lexicon.score(pairs.map((pair) => pair.chosen)),
    lexicon.score(pairs.map((pair) => pair.rejected)),
  ]);
  const right = pairAccuracy(chosen.map((reward, at) => reward - rejected[at]!));
  assert(right > 0.94, `${right} of ${pairs.length} pairs`);
  const all = await tweets();
  const area = auc(await lexicon.score(all.map(({ text }) => text)), all);
  assert(area > 0.9, `AUC ${area}`);
});

Deno.test("the lexicon sums over a text's words and gives harmless texts 0", async () => {
  const { score } = await lexiconReference();
  const [harmless, empty, once, twice, shouted] = await score([
    "the train leaves in the morning",
    "",
    "you idiot",
    "you idiot , idiot",
    "YOU IDIOT",
  ]);
  assertEquals([harmless, empty].map((reward) => reward! + 0), [0, 0]);
  assert(once! < 0);
  assertAlmostEquals(twice!, 2 * once!, 1e-6);
  assertEquals(shouted, once);
});

Deno.test("the column reference knows its texts, says NaN of others, and refuses to know none", async () => {
  const { score } = columnReference(new Map([["a", 1.5], ["b", -2]]));
  assertEquals([...await score(["b", "c", "a"])], [-2, NaN, 1.5]);
  const error = assertThrows(() => columnReference(new Map()), FairlError);
  assertEquals(error.code, "reward.no-column");
});

const pair = (
  prompt: string,
  chosen: string,
  rejected: string,
  label?: PreferencePair["label"],
): PreferencePair => ({ prompt, chosen, rejected, ...(label ? { label } : {}) });

/** The label of each text. */
const labelsOf = ({ texts, labels }: JudgedTexts) =>
  Object.fromEntries(texts.map((text, row) => [text, labels[row]]));

Deno.test("without labels the chosen side counts as not toxic, and a text on both sides as neither", () => {
  const judged = judgedTexts([pair("", "a", "b"), pair("", "b", "c"), pair("", "d", "e")]);
  assertEquals(labelsOf(judged), { a: 1, b: -1, c: 0, d: 1, e: 0 });
});

Deno.test("with labels each pair says of both its texts what they are, and unlabelled pairs say nothing", () => {
  const judged = judgedTexts([
    pair("p", "a", "b", "T->NT"),
    pair("q", "c", "d", "T->T"),
    pair("r", "e", "f", "NT->NT"),
    pair("s", "g", "h", "NT->T"),
    pair("t", "i", "j"),
    pair("u", "k", "a", "T->T"),
  ]);
  assertEquals(labelsOf(judged), {
    ...{ a: -1, b: 0, c: 0, d: 0, e: 1, f: 1, g: 0, h: 1, i: -1, j: -1, k: 0 },
  });
});

Deno.test("texts and pairs that share a text or a prompt are one cluster", () => {
  const judged = judgedTexts([
    pair("p", "a", "b"),
    pair("p", "c", "d"),
    pair("", "d", "e"),
    pair("q", "f", "g"),
    pair("", "h", "i"),
    pair("", "j", "k"),
  ]);
  const clusterOf = new Map(judged.texts.map((text, row) => [text, judged.clusters[row]!]));
  const together = (texts: string) => new Set([...texts].map((text) => clusterOf.get(text))).size;
  assertEquals(together("abcde"), 1);
  assertEquals(together("fg"), 1);
  assertEquals(together("hi"), 1);
  assertEquals(together("afhj"), 4);
});

Deno.test("evaluate gives the figures that a hand computes, and null where one does not apply", () => {
  // Four pairs of distinct texts; the third is ranked wrong, the fourth is tied.
  const judged = judgedTexts([
    pair("", "a", "b"),
    pair("", "c", "d"),
    pair("", "e", "f"),
    pair("", "g", "h"),
  ]);
  const rewardOf: Record<string, number> = { a: 3, b: 0, c: 2, d: 1, e: 0, f: 2, g: 4, h: 4 };
  const rewards = judged.texts.map((text) => rewardOf[text]!);
  const { plain, scaled, calibrated } = evaluate(judged, {
    plain: { rewards, threshold: 1.5 },
    scaled: { rewards: rewards.map((reward) => 10 * reward - 3), threshold: 12 },
    calibrated: {
      rewards,
      threshold: 1.5,
      calibration: { text: { a: 0, b: 0 }, pair: { a: 1, b: 0 } },
    },
  }, { seed: 0, resamples: 200, reference: rewards });

  // Two right and a tie, which counts half.
  assertEquals(plain.pairAccuracy!.value, 2.5 / 4);
  // Above 1.5: a, c, g of the chosen; f, h of the rejected.
  assertEquals(plain.accuracy!.value, 5 / 8);
  assertAlmostEquals(plain.f1!.value, 2 * 3 / (2 * 3 + 2 + 1), 1e-12);
  // Chosen 3 2 0 4 against rejected 0 1 2 4: of 16 comparisons 8 are won and 3 tied.
  assertAlmostEquals(plain.rocAuc!.value, 9.5 / 16, 1e-12);
  assertAlmostEquals(plain.starc!.value, 0, 1e-7);
  assertAlmostEquals(plain.epic!.value, 0, 1e-7);
  assertEquals([plain.ece, plain.brier], [null, null]);
  // A calibration that says one half of every text, of which one half is not toxic.
  assertAlmostEquals(calibrated.brier!.value, 0.25, 1e-12);
  assertAlmostEquals(calibrated.ece!.value, 0, 1e-12);
  for (const figure of FIGURES) {
    const [one, other] = [plain[figure], scaled[figure]];
    if (one) assertAlmostEquals(one.value, other!.value, 1e-7, figure);
    if (one) assert(one.low <= one.value && one.value <= one.high && one.n === 4, figure);
  }

  const without = evaluate(judged, { plain: { rewards, threshold: 1.5 } }, { seed: 0 }).plain;
  assertEquals([without.starc, without.epic], [null, null]);
  assertEquals(without.pairAccuracy!.value, plain.pairAccuracy!.value);
});

Deno.test("STARC and EPIC of an opposite reward are 1, over the texts that have a reference", () => {
  const judged = judgedTexts([pair("", "a", "b"), pair("", "c", "d"), pair("", "e", "f")]);
  const rewards = [1, -2, 3, 0.5, 9, 9];
  const reference = rewards.map((reward, row) => row < 4 ? -reward : NaN);
  const { it } = evaluate(judged, { it: { rewards, threshold: 0 } }, { seed: 0, reference });
  assertAlmostEquals(it.starc!.value, 1, 1e-7);
  assertAlmostEquals(it.epic!.value, 1, 1e-7);
});

Deno.test("the threshold is midway between the mean chosen and the mean rejected reward", () => {
  const judged = judgedTexts([pair("", "a", "b"), pair("", "c", "d")]);
  const rewardOf: Record<string, number> = { a: 4, b: 1, c: 2, d: -3 };
  assertEquals(trainingThreshold(judged, judged.texts.map((text) => rewardOf[text]!)), 1);
});
