/** Next-token training: packing, full weights and adapters, on each device. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Random } from "../../src/base/mod.ts";
import {
  fullWeights,
  initialWeights,
  LanguageTrainer,
  loraWeights,
  packRows,
  parseConfig,
  perplexity,
} from "../../src/lm/mod.ts";
import { adamW } from "../../src/graph/mod.ts";
import { Runtime } from "../../src/runtime/mod.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 10,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 1,
});
const weights = initialWeights(config, new Random(0));
const texts = [[0, 2, 3, 4, 1], [0, 5, 6, 1], [0, 7, 8, 9, 2, 3, 1]].map((text) =>
  Int32Array.from(text)
);

Deno.test("every text lies whole in one row, marked as one, and rows are no longer than asked", () => {
  const lists = fc.array(
    fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 1, maxLength: 12 }),
    {
      minLength: 1,
      maxLength: 30,
    },
  );
  fc.assert(fc.property(lists, fc.nat(5), (given, seed) => {
    const length = 14;
    const packed = packRows(given.map((text) => Int32Array.from(text)), length, new Random(seed));
    const found: string[] = [];
    for (let row = 0; row < packed.rows; row++) {
      const from = row * (length + 1);
      const marks = packed.texts.subarray(from, from + length + 1);
      for (let text = 1; text <= Math.max(...marks); text++) {
        const places = [...marks.keys()].filter((at) => marks[at] === text);
        assertEquals(places.at(-1)! - places[0]! + 1, places.length);
        found.push(places.map((at) => packed.tokens[from + at]).join());
      }
    }
    assertEquals(found.sort(), given.map((text) => text.join()).sort());
  }));
});

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`a decoder learns texts by heart, as a whole and through adapters, on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const packed = packRows(texts, 9);
    const rows = [...Array(packed.rows).keys()];
    const steps = device === "webgpu" ? 12 : 60;
    for (
      const [what, rate, trainable, optimizer] of [
        ["whole", 0.02, fullWeights(config, weights), undefined],
        ["adapters", 0.05, loraWeights(config, weights, { rank: 4 }), adamW()],
      ] as const
    ) {
      await using trainer = await LanguageTrainer.open(runtime, trainable, {
        rows: packed.rows,
        length: 9,
        ...(optimizer ? { optimizer } : {}),
      });
      const first = await trainer.step(packed, rows, rate);
      let last = first;
      for (let step = 1; step < steps; step++) last = await trainer.step(packed, rows, rate);
      const now = await perplexity(runtime, config, await trainer.weights(), packed, packed.rows);
      assert(last < first * (device === "webgpu" ? 0.99 : 0.92), `${what}: ${first} to ${last}`);
      // What merged weights say is what the next step would have said.
      assertAlmostEquals(Math.log(now), await trainer.step(packed, rows, rate), 1e-4);
    }
  });
}

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`a step whose gradients are added up row by row is the step of all rows on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    // Rows of unequal fill: a mean of means would be another step.
    const packed = packRows(texts, 7);
    const all = [...Array(packed.rows).keys()];
    assert(all.length > 1);
    const trainable = fullWeights(config, weights);
    const options = { rows: all.length, length: 7 };
    await using whole = await LanguageTrainer.open(runtime, trainable, options);
    await using added = await LanguageTrainer.open(runtime, trainable, {
      ...options,
      rows: 1,
      accumulate: true,
    });
    for (let step = 0; step < 2; step++) {
      const wanted = await whole.step(packed, all, 0.02);
      assertAlmostEquals(await added.step(packed, all, 0.02), wanted, 1e-4);
    }
    const wanted = await whole.weights();
    for (const [name, { data }] of Object.entries(await added.weights())) {
      data.forEach((value, at) => assertAlmostEquals(value, wanted[name]!.data[at]!, 1e-3));
    }
  });
}

Deno.test("a text's loss is the same alone and packed beside others", async () => {
  await using runtime = await Runtime.open("wasm");
  const alone = await Promise.all(texts.map(async (text) => {
    const own = await perplexity(runtime, config, weights, packRows([text], text.length - 1), 1);
    return Math.log(own) * (text.length - 1);
  }));
  const together = await perplexity(runtime, config, weights, packRows(texts, 20), 1);
  const tokens = texts.reduce((sum, { length }) => sum + length - 1, 0);
  assertAlmostEquals(Math.log(together) * tokens, alone.reduce((a, b) => a + b), 1e-4);
});

Deno.test("training goes on from a saved state to the same bytes", async () => {
  await using runtime = await Runtime.open("wasm");
  const packed = packRows(texts, 9);
  const open = () =>
    LanguageTrainer.open(runtime, fullWeights(config, weights), { rows: 2, length: 9 });
  await using through = await open();
  for (let step = 0; step < 3; step++) await through.step(packed, [0, 1], 0.02);
  const state = await through.state();
  for (let step = 0; step < 3; step++) await through.step(packed, [1, 0], 0.02);
  await using resumed = await open();
  await resumed.load(state);
  for (let step = 0; step < 3; step++) await resumed.step(packed, [1, 0], 0.02);
  assertEquals(await resumed.weights(), await through.weights());
});
