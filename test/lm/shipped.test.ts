/** The model that ships, on every device: a training step and sampled tokens are those of wasm. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { openModel, promptsOf } from "../../src/cli/models.ts";
import { fullWeights, Generator, LanguageTrainer, packRows } from "../../src/lm/mod.ts";
import { type Device, Runtime } from "../../src/runtime/mod.ts";

const model = await openModel("comments-base");
const { config, weights, tokenizer } = model;
const texts = (await promptsOf(undefined)).slice(0, 24)
  .map((text) => Int32Array.of(config.bos, ...tokenizer.encode(text), config.eos));
const RATE = 0.01;

/** Losses before and after a step, and how far each matrix has moved. */
async function stepOn(device: Device) {
  await using runtime = await Runtime.open(device);
  const options = { rows: 2, length: 31 };
  await using trainer = await LanguageTrainer.open(runtime, fullWeights(config, weights), options);
  const packed = packRows(texts, options.length);
  const before = await trainer.step(packed, [0, 1], RATE);
  const moved = await trainer.weights();
  const after = await trainer.step(packed, [0, 1], RATE);
  return { losses: [before, after] as const, moved };
}

async function sampledOn(device: Device) {
  await using runtime = await Runtime.open(device);
  const capacity = 32;
  await using generator = await Generator.open(runtime, config, weights, { rows: 2, capacity });
  const prompts = ["the movie was", "you are such a"]
    .map((text) => Int32Array.of(config.bos, ...tokenizer.encode(text)));
  return await generator.generate(prompts, {
    maxTokens: 20,
    minTokens: 20,
    temperature: 0.7,
    seed: 5,
  });
}

const wasm = { step: await stepOn("wasm"), sampled: await sampledOn("wasm") };

for (const device of ["native", "webgpu"] as const) {
  Deno.test(`a training step of the shipped model on ${device} is that of wasm`, async () => {
    const { losses, moved } = await stepOn(device);
    assertAlmostEquals(losses[0], wasm.step.losses[0], 1e-4);
    assertAlmostEquals(losses[1], wasm.step.losses[1], 1e-4);
    assert(losses[1] < losses[0] - 0.1, `${losses[0]} to ${losses[1]}`);
    for (const [name, { data }] of Object.entries(moved)) {
      // The difference of the devices, as a part of the step.
      let [off, step] = [0, 0];
      data.forEach((value, at) => {
        off += (value - wasm.step.moved[name]!.data[at]!) ** 2;
        step += (value - weights[name]!.data[at]!) ** 2;
      });
      assert(step > 0, `${name} has not moved`);
      const part = Math.sqrt(off / step);
      assert(part < 0.005, `${name}: off by ${part} of the step`);
    }
  });

  Deno.test(`20 sampled tokens of the shipped model on ${device} are those of wasm`, async () => {
    for (const [at, { tokens, logProbabilities }] of (await sampledOn(device)).entries()) {
      const wanted = wasm.sampled[at]!;
      assertEquals(tokens.length, 20);
      assertEquals(tokens, wanted.tokens);
      logProbabilities.forEach((log, place) =>
        assertAlmostEquals(log, wanted.logProbabilities[place]!, 2e-4)
      );
    }
  });
}
