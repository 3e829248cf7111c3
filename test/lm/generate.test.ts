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
const llama = models[0]!;
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
    for (const { config, weights } of device === "webgpu" ? models.slice(1, 3) : models) {
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
