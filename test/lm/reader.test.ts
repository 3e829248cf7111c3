/** Reading with onnxruntime's own operators against the graph that trains. */
import { assert, assertEquals } from "@std/assert";
import { Random } from "../../src/base/mod.ts";
import { gather, mul, Program } from "../../src/graph/mod.ts";
import {
  decoderStates,
  initialWeights,
  parseConfig,
  TextReader,
  tokenLogProbabilities,
} from "../../src/lm/mod.ts";
import { Runtime, tensor } from "../../src/runtime/mod.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 29,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  max_position_embeddings: 32,
  bos_token_id: 0,
  eos_token_id: 1,
});
const weights = Object.fromEntries(
  Object.entries(initialWeights(config, new Random(3))).map((
    [name, { dims, data }],
  ) => [
    name,
    tensor("float32", dims, data.map((value) => dims.length === 2 ? value * 10 : value)),
  ]),
);

/** Forty texts of mixed lengths, of which some tokens are read, in no order; some rows not at all. */
function inputs() {
  const [rows, length, count] = [40, 14, 160];
  const random = new Random(1);
  const integers = (size: number, below: number) =>
    Int32Array.from({ length: size }, () => random.integer(below));
  const floats = Float32Array.from({ length: count }, () => random.integer(4) ? 1 : 0);
  const places = integers(count, rows * length).map((place) =>
    place < length * 20 ? place - place % length % 7 : place
  );
  return {
    tokens: tensor("int32", [rows, length], integers(rows * length, 29)),
    places: tensor("int32", [count], places),
    targets: tensor("int32", [count], integers(count, 29).map((token) => token === 1 ? 2 : token)),
    there: tensor("float32", [count], floats),
    mayEnd: tensor("float32", [count], floats.map((_, at) => at % 3 ? 1 : 0)),
  };
}

for (const device of ["wasm", "native"] as const) {
  Deno.test(`log-probabilities and states that are read are those of the training graph on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const given = inputs();
    const { tokens, places, targets, there, mayEnd } = given;
    const temperature = 0.7;
    await using program = await Program.open(runtime, {
      constants: weights,
      inputs: { tokens, places, targets, there, mayEnd },
      outputs({ constants, inputs }) {
        const parts = { config, weights: constants };
        const states = gather(decoderStates(parts, inputs["tokens"]!), inputs["places"]!);
        const options = { temperature, mayEnd: inputs["mayEnd"]! };
        const log = tokenLogProbabilities(parts, states, inputs["targets"]!, options);
        return { log: mul(log, inputs["there"]!), states: mul(states, 1) };
      },
    });
    const reader = await TextReader.open(runtime, config, weights, { length: 14, temperature });
    if (!reader) throw new Error("this decoder is one for onnxruntime's own operators");
    const wanted = await program.run(given);
    const { log, states } = await reader.read(given);
    const logs = wanted["log"]!.data as Float32Array;
    assert(logs.some((value) => value < -4) && log.length === logs.length);
    log.forEach((value, at) => assert(Math.abs(value - logs[at]!) < 1e-4, `${at}: ${value}`));
    const before = wanted["states"]!.data as Float32Array;
    states.forEach((value, at) => {
      const read = there.data[Math.floor(at / config.width)];
      assert(Math.abs(value - (read ? before[at]! : 0)) < 1e-3, `state ${at}: ${value}`);
    });
    // The same bytes again.
    assertEquals((await reader.read(given)).log, log);
  });
}

Deno.test("a decoder whose heads are too narrow is left to the training graph", async () => {
  await using runtime = await Runtime.open("wasm");
  const options = { length: 14, temperature: 1 };
  const narrow = { ...config, headSize: 8 };
  assertEquals(await TextReader.open(runtime, narrow, weights, options), undefined);
});
