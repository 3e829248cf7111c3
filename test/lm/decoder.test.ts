/** Decoders against transformers: the same weights give the same logits. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import { constant, Program, reshape } from "../../src/graph/mod.ts";
import {
  configJson,
  decoderLogits,
  decoderStates,
  initialWeights,
  parseConfig,
  weightShapes,
} from "../../src/lm/mod.ts";
import { Runtime, tensor } from "../../src/runtime/mod.ts";
import fixture from "./fixtures/lm.json" with { type: "json" };

const tokens = tensor(
  "int32",
  [fixture.tokens.length, fixture.tokens[0]!.length],
  Int32Array.from(fixture.tokens.flat()),
);

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`logits of Llama and NeoX decoders equal those of transformers on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    for (const [name, { config: json, weights, logits }] of Object.entries(fixture.cases)) {
      const config = parseConfig(json);
      await using program = await Program.open(runtime, {
        constants: Object.fromEntries(
          Object.entries(weights).map(([weight, { dims, data }]) =>
            [weight, tensor("float32", dims, Float32Array.from(data))] as const
          ),
        ),
        inputs: { tokens: { type: "int32", dims: [...tokens.dims] } },
        outputs({ constants, inputs }) {
          const parts = { config, weights: constants };
          return { logits: decoderLogits(parts, decoderStates(parts, inputs["tokens"]!)) };
        },
      });
      const found = await program.run({ tokens });
      const largest = Math.max(...logits.map(Math.abs));
      logits.forEach((wanted, at) => {
        const off = Math.abs(Number(found["logits"]!.data[at]) - wanted);
        assert(off < 2e-5 * largest, `${name}: logit ${at} is off by ${off} of ${largest}`);
      });
    }
  });
}

Deno.test("a config that was written out is read as the same one, and names the checkpoint's weights", () => {
  for (const { config: json, weights } of Object.values(fixture.cases)) {
    const config = parseConfig(json);
    assertEquals(parseConfig(configJson(config)), config);
    const shapes = Object.fromEntries(
      Object.entries(weights).map(([name, { dims }]) => [name, dims as readonly number[]]),
    );
    assertEquals(weightShapes(config), shapes);
  }
});

Deno.test("newer files keep the rotary embedding one level down", () => {
  const { config: json } = fixture.cases["gpt_neox, parallel"];
  const { rotary_pct, rotary_emb_base: _, ...rest } = json;
  const newer = {
    ...rest,
    rope_parameters: { rope_type: "default", rope_theta: 5000, partial_rotary_factor: rotary_pct },
  };
  assertEquals(parseConfig(newer), { ...parseConfig(json), ropeTheta: 5000 });
});

Deno.test("an architecture that cannot be built is a named error", () => {
  const { config } = fixture.cases["llama, shared keys and values, tied"];
  const wrong = [
    { ...config, model_type: "mamba" },
    { ...config, hidden_act: "relu" },
    { ...config, num_key_value_heads: 3 },
    { ...config, rope_scaling: { type: "linear", factor: 2 } },
    { model_type: "llama" },
  ];
  for (const json of wrong) {
    assertEquals(assertThrows(() => parseConfig(json), FairlError).code, "lm.config");
  }
});

Deno.test("what follows a token does not change its logits", async () => {
  const config = parseConfig(fixture.cases["llama, shared keys and values, tied"].config);
  await using runtime = await Runtime.open("wasm");
  const logitsOf = async (rows: number[][]) => {
    const dims = [rows.length, rows[0]!.length];
    await using program = await Program.open(runtime, {
      constants: initialWeights(config, new Random(0)),
      inputs: {},
      outputs({ constants }) {
        const parts = { config, weights: constants };
        const given = constant(tensor("int32", dims, Int32Array.from(rows.flat())));
        const logits = decoderLogits(parts, decoderStates(parts, given));
        return { logits: reshape(logits, [...dims, config.vocabulary]) };
      },
    });
    return (await program.run({}))["logits"]!.data as Float32Array;
  };
  const [long, short] = [await logitsOf([[3, 1, 4, 1, 5]]), await logitsOf([[3, 1, 4]])];
  short.forEach((value, at) => assert(Math.abs(value - long[at]!) < 1e-6));
});
