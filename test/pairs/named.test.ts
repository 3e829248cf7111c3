/** The named sources: what is in them, and what their artefacts can do. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FairlError } from "../../src/base/mod.ts";
import {
  BASELINES,
  detoxPairs,
  inspectPairs,
  loadDavidson,
  loadMixture,
  loadPairs,
  loadParadetox,
  normaliseText,
  orderAccuracy,
  pairSet,
  type PreferencePair,
  splitPairs,
  syntheticPairs,
} from "../../src/pairs/mod.ts";

/** Accuracy of the baselines on held-out pairs, fitted on the training pairs. */
function heldOut(pairs: readonly PreferencePair[]): Record<string, number> {
  const { train, test } = splitPairs(pairs, { seed: 0 });
  const pick = (rows: Int32Array) => Array.from(rows, (at) => pairs[at]!);
  return Object.fromEntries(
    BASELINES.map(({ name, fit }) => [name, orderAccuracy(pick(test), fit(pick(train)))]),
  );
}

Deno.test("ParaDetox as it is can be ranked by casing and by length; normalised, casing is blind", async () => {
  const raw = heldOut(pairSet("raw", detoxPairs(await loadParadetox({ normalise: false }))).pairs);
  assertAlmostEquals(raw.casing!, 0.868, 0.01);
  assertAlmostEquals(raw.length!, 0.843, 0.01);
  const normal = heldOut((await loadPairs("paradetox")).pairs);
  assertAlmostEquals(normal.casing!, 0.5, 0.015);
  assertAlmostEquals(normal.length!, 0.794, 0.01);
  assertAlmostEquals(normal.words!, 0.99, 0.005);
});

Deno.test("ParaDetox gives one T->NT pair for each paraphrase that differs", async () => {
  const { pairs, counts, contentHash } = await loadPairs("paradetox");
  assertEquals([counts.read, counts.kept], [19_743, 17_820]);
  assert(pairs.every((pair) => pair.prompt === "" && pair.label === "T->NT"));
  assertEquals(contentHash, (await loadPairs("paradetox")).contentHash);
});

Deno.test("normaliseText() changes nothing the second time", async () => {
  for (const { toxic, neutral } of await loadParadetox()) {
    for (const text of [toxic, ...neutral]) assertEquals(normaliseText(text), text);
  }
  for (const { text } of await loadDavidson()) {
    assertEquals(normaliseText(normaliseText(text)), normaliseText(text));
  }
});

Deno.test("Davidson's tweets come with their votes, and as pairs each is used once", async () => {
  const texts = await loadDavidson();
  assertEquals(texts.length, 24_783);
  assertEquals(texts.filter((text) => !text.toxic).length, 4_163);
  assertEquals(texts[1]!.offensive, 3);
  assert(
    texts.every(({ toxic, hate, offensive, neither }) =>
      toxic ? Math.max(hate, offensive) >= neither : neither >= Math.max(hate, offensive)
    ),
  );
  const { pairs, counts } = await loadPairs("davidson", { seed: 3 });
  assertEquals([counts.kept, counts.texts], [4_163, 8_326]);
  assert(pairs[0]!.chosen !== (await loadPairs("davidson", { seed: 4 })).pairs[0]!.chosen);
});

for (const p of [0, 0.25, 1]) {
  Deno.test(`the mixture at p = ${p} has METHOD.md's shares and shares no text with what is held out`, async () => {
    const mixture = await loadMixture({ p, seed: 1 });
    const { kinds } = inspectPairs(mixture);
    const rest = Math.round(3600 * (1 - p));
    assertEquals(kinds, {
      "T->NT": 3600 - rest,
      "NT->NT": Math.round(0.8 * rest),
      "T->T": Math.round(0.15 * rest),
      "NT->T": Math.round(0.05 * rest),
      unlabelled: 0,
    });
    assertEquals(mixture.counts.texts, 7200);
    assertEquals(mixture.heldOut.pairs.length, 2000);
    const held = new Set(mixture.heldOut.texts.map(({ text }) => text));
    assertEquals(held.size, 4000);
    assert(mixture.pairs.every(({ chosen, rejected }) => !held.has(chosen) && !held.has(rejected)));
    assertEquals(mixture.heldOut, (await loadMixture({ p: 0.5, seed: 1 })).heldOut);
    assertEquals(mixture.pairs, (await loadPairs("mixture", { mixture: { p }, seed: 1 })).pairs);
  });
}

Deno.test("a mixture that asks for more than there is says so", async () => {
  const error = await assertRejects(() => loadMixture({ n: 20_000 }), FairlError) as FairlError;
  assertEquals(error.code, "pairs.too-few");
});

Deno.test("a name that is neither a source nor a file lists the sources", async () => {
  const error = await assertRejects(() => loadPairs("paradetoks.jsonl"), FairlError) as FairlError;
  assertEquals(error.code, "pairs.not-found");
  assert(error.message.includes("paradetox, davidson, mixture, synthetic"));
});

for (const inputs of ["texts", "features"] as const) {
  for (const reward of ["linear", "nonlinear", "noisy"] as const) {
    Deno.test(`the synthetic world of ${inputs}, ${reward}, is what its knobs say`, () => {
      const options = { inputs, reward, prompts: 1500, completions: 4, informative: 0.4 } as const;
      const world = syntheticPairs(options, 7);
      const { truth, pairs } = world;
      assertEquals(pairs.length, 3000);
      assertEquals([truth.texts.length, new Set(truth.texts).size], [6000, 6000]);
      assertEquals(new Set(truth.prompts).size, 1500);
      const known = new Map(truth.texts.map((text, at) => [text, truth.reward[at]!]));
      let wrong = 0;
      let crossing = 0;
      for (const pair of pairs) {
        assertEquals(known.get(pair.chosen), pair.chosenReference);
        assertEquals(known.get(pair.rejected), pair.rejectedReference);
        if (pair.chosenReference! < pair.rejectedReference!) wrong++;
        const kind = [pair.rejectedReference!, pair.chosenReference!]
          .map((value) => value < 0 ? "T" : "NT").join("->");
        assertEquals(pair.label, kind);
        if (kind === "T->NT" || kind === "NT->T") crossing++;
      }
      assertAlmostEquals(wrong / pairs.length, reward === "noisy" ? 0.2 : 0, 0.03);
      assertAlmostEquals(crossing / pairs.length, 0.4, 0.03);
      assertEquals(world.contentHash, syntheticPairs(options, 7).contentHash);
      assert(world.contentHash !== syntheticPairs(options, 8).contentHash);
      splitPairs(pairs, { seed: 0 });
    });
  }
}

/** The squared correlation of the reward with its best linear fit to the features. */
function linearShare(features: Float32Array, dimension: number, reward: Float64Array): number {
  // Uncorrelated standard normal features: the fit is the covariance with each, to 1/sqrt(n).
  const weights = new Float64Array(dimension);
  reward.forEach((value, row) => {
    for (let at = 0; at < dimension; at++) {
      weights[at]! += value * features[row * dimension + at]! / reward.length;
    }
  });
  const variance = reward.reduce((sum, value) => sum + value * value, 0) / reward.length;
  return weights.reduce((sum, weight) => sum + weight * weight, 0) / variance;
}

Deno.test("a linear world is linear in its features, a non-linear one is half of it, a flipped one hides", () => {
  const share = (options: { reward?: "nonlinear"; blindSpot?: number }) => {
    const { truth } = syntheticPairs({
      inputs: "features",
      dimension: 8,
      prompts: 10_000,
      completions: 2,
      informative: 1,
      ...options,
    }, 5);
    return linearShare(truth.features!, 8, truth.reward);
  };
  assertAlmostEquals(share({}), 1, 0.05);
  assertAlmostEquals(share({ reward: "nonlinear" }), 0.5, 0.07);
  // (1 - 2 x 0.25)^2 of the variance is left to a linear reward.
  assertAlmostEquals(share({ blindSpot: 0.25 }), 0.25, 0.04);
});

Deno.test("a blind spot names its pairs by group, and its rude words are the better ones", () => {
  const { pairs } = syntheticPairs({ prompts: 1500, blindSpot: 0.3 }, 2);
  const flipped = pairs.filter((pair) => pair.group === "flipped");
  assertAlmostEquals(flipped.length / pairs.length, 0.3, 0.04);
  const score = BASELINES[2]!.fit(pairs.filter((pair) => pair.group === "rest"));
  assert(orderAccuracy(flipped, score) < 0.2);
});

Deno.test("synthetic options that make no sense are one clear error", () => {
  for (
    const options of [{ completions: 3 }, { dimension: 2 }, { noise: 2 }, { prompts: 1_000_000 }]
  ) {
    const error = assertThrows(() => syntheticPairs(options, 0), FairlError) as FairlError;
    assertEquals(error.code, "pairs.bad-option");
    assert(error.message.startsWith(`synthetic ${Object.keys(options)[0]}`), error.message);
  }
});
