/** Generation with a cache against the graph that reads whole rows. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import { Program, reshape, slice } from "../../src/graph/mod.ts";
import {
  type DecoderConfig,
  decoderStates,
  type DecoderWeights,
  type Generated,
  Generator,
  initialWeights,
  parseConfig,
  tokenLogProbabilities,
} from "../../src/lm/mod.ts";
import { Runtime, tensor } from "../../src/runtime/mod.ts";
import fixture from "./fixtures/lm.json" with { type: "json" };

const models = Object.values(fixture.cases).map(({ config, weights }) => ({
  config: parseConfig(config),
  weights: Object.fromEntries(
    Object.entries(weights).map(([name, { dims, data }]) =>
      // Softer than the fixture's, so that more than one token is likely.
      [name, tensor("float32", dims, Float32Array.from(data, (value) => value * 0.4))] as const
    ),
  ),
}));
/** One whose heads are wide enough for onnxruntime's own operators, with shared keys and values. */
const wide = parseConfig({
  model_type: "llama",
  vocab_size: 13,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  max_position_embeddings: 48,
  bos_token_id: 0,
  eos_token_id: 1,
});
const llama = {
  config: wide,
  weights: Object.fromEntries(
    Object.entries(initialWeights(wide, new Random(7, "weights"))).map((
      [name, { dims, data }],
    ) => [
      name,
      tensor("float32", dims, data.map((value) => dims.length === 2 ? value * 12 : value)),
    ]),
  ),
};
models.unshift(llama);
const random = new Random(0, "prompts");
const prompts = [1, 4, 2, 7, 3].map((length) =>
  Int32Array.from({ length }, () => 2 + random.integer(11))
);

/** log p of each token after the prompt, read with the training graph. */
async function readOff(
  runtime: Runtime,
  config: DecoderConfig,
  weights: DecoderWeights,
  prompt: Int32Array,
  { tokens }: Generated,
  temperature: number,
): Promise<number[]> {
  const row = Int32Array.from([...prompt, ...tokens]);
  const length = row.length - 1;
  await using program = await Program.open(runtime, {
    constants: weights,
    inputs: {
      row: { type: "int32", dims: [1, length] },
      targets: { type: "int32", dims: [tokens.length] },
    },
    outputs({ constants, inputs }) {
      const parts = { config, weights: constants };
      const states = decoderStates(parts, inputs["row"]!);
      const own = slice(states, [prompt.length - 1], [length]);
      const log = tokenLogProbabilities(parts, own, inputs["targets"]!, { temperature });
      return { log: reshape(log, [tokens.length]) };
    },
  });
  const { log } = await program.run({
    row: tensor("int32", [1, length], row.slice(0, -1)),
    targets: tensor("int32", [tokens.length], tokens),
  });
  return Array.from(log!.data as Float32Array);
}

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`log-probabilities of sampled tokens are those of the training graph on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    for (const { config, weights } of device === "webgpu" ? models.slice(2, 4) : models) {
      await using generator = await Generator.open(runtime, config, weights, {
        rows: 2,
        capacity: 20,
      });
      const settings = { maxTokens: 8, temperature: 0.7, seed: 3 };
      for (const [at, one] of (await generator.generate(prompts, settings)).entries()) {
        const wanted = await readOff(runtime, config, weights, prompts[at]!, one, 0.7);
        assertEquals(wanted.length, one.logProbabilities.length);
        wanted.forEach((log, place) => {
          const off = Math.abs(log - one.logProbabilities[place]!);
          assert(off < 1e-4, `text ${at}, token ${place}: off by ${off}`);
        });
      }
      assertEquals(runtime.liveTensors, 0);
    }
  });
}

Deno.test("a prompt is continued in the same way alone and in batches of any size", async () => {
  await using runtime = await Runtime.open("wasm");
  const settings = { maxTokens: 10, seed: 1 };
  const found: Generated[][] = [];
  for (const rows of [1, 3, 8]) {
    await using generator = await Generator.open(runtime, llama.config, llama.weights, {
      rows,
      capacity: 24,
    });
    found.push(await generator.generate(prompts, settings));
  }
  const tokensOf = (list: Generated[]) => list.map(({ tokens, reason }) => ({ tokens, reason }));
  assertEquals(tokensOf(found[1]!), tokensOf(found[0]!));
  assertEquals(tokensOf(found[2]!), tokensOf(found[0]!));
  const { tokens: [first] } = found[0]![0]!;
  await using generator = await Generator.open(runtime, llama.config, llama.weights, {
    rows: 1,
    capacity: 24,
  });
  const others = await Promise.all(
    [2, 3, 4, 5, 6].map(async (seed) =>
      (await generator.generate(prompts.slice(0, 1), { ...settings, seed }))[0]!.tokens.join()
    ),
  );
  assert(new Set(others).size > 1 && first !== undefined);
});

Deno.test("texts that outgrow the cache's pieces and take others' rows go on as they would alone", async () => {
  await using runtime = await Runtime.open("native");
  const { config, weights } = llama;
  const long = [20, 1, 17, 3, 20, 9].map((length, at) =>
    Int32Array.from({ length }, (_, place) => 2 + (place * 7 + (at === 4 ? 0 : at)) % 11)
  );
  assertEquals(long[4], long[0]);
  const settings = { maxTokens: 20, minTokens: 12, temperature: 0.8, seed: 5 };
  const together: Generated[][] = [];
  for (const rows of [1, 4]) {
    await using generator = await Generator.open(runtime, config, weights, { rows, capacity: 41 });
    together.push(await generator.generate(long, settings));
  }
  const lengths = together[0]!.map(({ tokens }) => tokens.length);
  assert(new Set(lengths).size > 1, `all of ${lengths[0]} tokens`);
  for (const [at, alone] of together[0]!.entries()) {
    const one = together[1]![at]!;
    assertEquals(one.tokens, alone.tokens);
    const wanted = await readOff(runtime, config, weights, long[at]!, one, 0.8);
    // Where the text might not end yet, given that it did not: from there on they are the same.
    for (let place = 12; place < wanted.length; place++) {
      assert(Math.abs(wanted[place]! - one.logProbabilities[place]!) < 1e-4);
    }
  }
});

Deno.test("texts end where they should: at the end, at their length, when told to, and not before", async () => {
  await using runtime = await Runtime.open("wasm");
  const { config, weights } = llama;
  await using generator = await Generator.open(runtime, config, weights, { rows: 4, capacity: 30 });
  const many = Array.from({ length: 40 }, () => prompts[1]!);
  const free = await generator.generate(many, { maxTokens: 12 });
  for (const { tokens, reason } of free) {
    assertEquals(reason, tokens.at(-1) === config.eos ? "eos" : "length");
    assert(tokens.length === 12 || reason === "eos");
    assert(!tokens.subarray(0, -1).includes(config.eos));
  }
  assert(
    free.some(({ reason }) => reason === "eos") && free.some(({ tokens }) => tokens.length < 5),
  );
  const later = await generator.generate(many, { maxTokens: 12, minTokens: 5 });
  assert(later.every(({ tokens }) => tokens.length >= 6 || tokens.length === 12));
  const told = await generator.generate(many, {
    maxTokens: 12,
    minTokens: 12,
    stop: (tokens) => tokens.at(-1)! % 2 === 0,
  });
  for (const { tokens, reason } of told) {
    assertEquals(reason, tokens.at(-1)! % 2 === 0 ? "stop" : "length");
  }
});

Deno.test("a prompt that does not fit and a capacity beyond the model's are named errors", async () => {
  await using runtime = await Runtime.open("wasm");
  const { config, weights } = llama;
  const long = Generator.open(runtime, config, weights, { capacity: config.context + 1 });
  assertEquals((await assertRejects(() => long, FairlError)).code, "lm.capacity");
  await using generator = await Generator.open(runtime, config, weights, { rows: 1, capacity: 4 });
  for (const prompt of [new Int32Array(0), new Int32Array(4)]) {
    const failed = generator.generate([prompt], { maxTokens: 2 });
    assertEquals((await assertRejects(() => failed, FairlError)).code, "lm.prompt");
  }
});
