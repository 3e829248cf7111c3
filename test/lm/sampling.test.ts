/** Draws of single tokens. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FairlError } from "../../src/base/mod.ts";
import { Sampler, type SamplingSettings } from "../../src/lm/mod.ts";

const logits = fc.array(fc.integer({ min: -400, max: 400 }), { minLength: 2, maxLength: 12 })
  .map((values) => Float32Array.from(values, (value) => value / 100));
const uniform = fc.integer({ min: 0, max: 9999 }).map((value) => value / 10000);

/** Every token that some draw gives. */
function drawn(values: Float32Array, settings: SamplingSettings): Set<number> {
  const sampler = new Sampler(values.length, settings);
  return new Set(Array.from({ length: 4000 }, (_, at) => sampler.draw(values, at / 4000)));
}

function probabilities(values: Float32Array, temperature = 1): number[] {
  const weights = Array.from(values, (value) => Math.exp(value / temperature));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

Deno.test("at temperature 0 the likeliest token is drawn, whatever the number", () => {
  fc.assert(fc.property(logits, uniform, (values, u) => {
    const token = new Sampler(values.length, { temperature: 0 }).draw(values, u);
    assertEquals(values[token], Math.max(...values));
  }));
});

Deno.test("tokens are drawn as often as the softmax says, and say their log-probability", () => {
  fc.assert(fc.property(logits, fc.constantFrom(0.5, 1, 2), (values, temperature) => {
    const sampler = new Sampler(values.length, { temperature });
    const wanted = probabilities(values, temperature);
    const counts = new Float64Array(values.length);
    for (let at = 0; at < 2000; at++) {
      const token = sampler.draw(values, (at + 0.5) / 2000);
      counts[token]! += 1 / 2000;
      assertAlmostEquals(sampler.logProbability, Math.log(wanted[token]!), 1e-5);
    }
    counts.forEach((share, token) => assert(Math.abs(share - wanted[token]!) < 2 / 2000));
  }));
});

Deno.test("top-k keeps the k likeliest, top-p the fewest that reach p, min-p those near the best", () => {
  fc.assert(
    fc.property(logits, fc.integer({ min: 1, max: 12 }), (values, topK) => {
      const kept = drawn(values, { topK });
      assert(kept.size <= topK);
      const least = Math.min(...[...kept].map((token) => values[token]!));
      const above = values.filter((value) => value > least).length;
      assert(above < topK);
    }),
    { numRuns: 30 },
  );
  fc.assert(
    fc.property(logits, fc.integer({ min: 1, max: 99 }), (values, percent) => {
      const share = probabilities(values);
      const kept = [...drawn(values, { topP: percent / 100 })].map((token) => share[token]!);
      const sum = kept.reduce((a, b) => a + b);
      // Without its least likely member the set would not reach p; draws see tokens of 1 in 4000.
      assert(sum - Math.min(...kept) < percent / 100 + 1e-6);
      assert(sum > percent / 100 - values.length / 4000);
    }),
    { numRuns: 30 },
  );
  fc.assert(
    fc.property(logits, fc.integer({ min: 1, max: 100 }), (values, percent) => {
      const share = probabilities(values);
      const limit = percent / 100 * Math.max(...share);
      for (const token of drawn(values, { minP: percent / 100 })) {
        assert(share[token]! >= limit * (1 - 1e-6));
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("a forbidden token is never drawn, and the others share its probability", () => {
  fc.assert(fc.property(logits, uniform, fc.nat(11), (values, u, at) => {
    const forbidden = at % values.length;
    const sampler = new Sampler(values.length);
    const token = sampler.draw(values, u, forbidden);
    assert(token !== forbidden);
    const share = probabilities(values);
    const wanted = Math.log(share[token]! / (1 - share[forbidden]!));
    assertAlmostEquals(sampler.logProbability, wanted, 1e-3);
  }));
});

Deno.test("settings out of their range are named errors", () => {
  for (const wrong of [{ temperature: -1 }, { topK: 0 }, { topP: 0 }, { topP: 1.1 }, { minP: 2 }]) {
    assertEquals(assertThrows(() => new Sampler(3, wrong), FairlError).code, "lm.sampling");
  }
});
