/** Models in GGUF files: tiny ones in each format, and SmolLM2-135M where FAIRL_SMOLLM2 names its file. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { FairlError } from "../../src/base/mod.ts";
import { Program } from "../../src/graph/mod.ts";
import { openGguf } from "../../src/hub/mod.ts";
import {
  decoderLogits,
  decoderStates,
  type LanguageModel,
  loadGguf,
  loadModel,
  saveModel,
} from "../../src/lm/mod.ts";
import { Runtime, tensor } from "../../src/runtime/mod.ts";
import { withFolder } from "../cli/process.ts";
import expected from "./fixtures/gguf/expected.json" with { type: "json" };
import smollm2 from "./fixtures/gguf/smollm2.json" with { type: "json" };

const FOLDER = join(import.meta.dirname!, "fixtures", "gguf");

/** Logits `[tokens, vocabulary]` of each row of tokens. */
async function logitsOf(
  runtime: Runtime,
  { config, weights }: LanguageModel,
  rows: readonly (readonly number[])[],
): Promise<Float32Array[]> {
  const length = Math.max(...rows.map((row) => row.length));
  const dims = [rows.length, length];
  await using program = await Program.open(runtime, {
    constants: weights,
    inputs: { tokens: { type: "int32", dims } },
    outputs({ constants, inputs }) {
      const parts = { config, weights: constants };
      return { logits: decoderLogits(parts, decoderStates(parts, inputs["tokens"]!)) };
    },
  });
  const tokens = new Int32Array(rows.length * length);
  rows.forEach((row, at) => tokens.set(row, at * length));
  const { logits } = await program.run({ tokens: tensor("int32", dims, tokens) });
  const size = config.vocabulary;
  return rows.map((row, at) =>
    (logits!.data as Float32Array).subarray(at * length * size, (at * length + row.length) * size)
  );
}

/** Largest distance of two lists. */
function distance(found: ArrayLike<number>, wanted: readonly number[]): number {
  assertEquals(found.length, wanted.length);
  return wanted.reduce((most, value, at) => Math.max(most, Math.abs(value - found[at]!)), 0);
}

Deno.test("a Llama in each format gives the logits that transformers computes on its weights", async () => {
  await using runtime = await Runtime.open("wasm");
  for (const [file, { logits }] of Object.entries(expected.cases)) {
    const model = await loadGguf(join(FOLDER, file));
    const found = await logitsOf(runtime, model, expected.rows);
    const last = found.flatMap((row) => [...row.subarray(-model.config.vocabulary)]);
    const off = distance(last, logits);
    assert(off < 1e-4, `${file}: a logit is off by ${off}`);
  }
});

Deno.test("Q6_K is widened as the gguf package does it", async () => {
  using file = await openGguf(join(FOLDER, "q6_k.gguf"));
  const [packed, widened] = [await file.read("packed"), await file.read("widened")];
  assertEquals(packed!.dims, [2, 512]);
  assertEquals(distance(packed!.data, [...widened!.data]), 0);
});

Deno.test("a tokenizer out of a GGUF file gives llama.cpp's ids, digits apart where it says so", async () => {
  const [gpt2, smollm] = [expected.cases["f32.gguf"], expected.cases["f16.gguf"]];
  assert(gpt2.ids.flat().length < smollm.ids.flat().length);
  for (const [file, { ids }] of [["f32.gguf", gpt2], ["f16.gguf", smollm]] as const) {
    const { tokenizer, config } = await loadGguf(join(FOLDER, file));
    assertEquals(expected.texts.map((text) => [...tokenizer.encode(text)]), ids);
    // A chat model's first token opens a turn; a text begins after what separates documents.
    assertEquals([config.bos, config.eos], [0, 2]);
  }
});

Deno.test("a model out of a GGUF file, saved as a folder, is the same model", async () => {
  await withFolder(async (folder) => {
    const { config, weights, tokenizer } = await loadGguf(join(FOLDER, "q4_1.gguf"));
    const out = join(folder, "model");
    await saveModel(out, { config, weights, tokenizer: tokenizer.json, card: "" });
    const again = await loadModel(out);
    assertEquals(again.config, config);
    assertEquals(again.weights, weights);
    assertEquals(again.tokenizer.encode("the rain"), tokenizer.encode("the rain"));
  });
});

Deno.test("foreign, cut and unknown GGUF files are named errors", async () => {
  await withFolder(async (folder) => {
    const whole = await Deno.readFile(join(FOLDER, "f32.gguf"));
    const path = join(folder, "a.gguf");
    const codeOf = async (bytes: Uint8Array) => {
      await Deno.writeFile(path, bytes);
      return (await assertRejects(() => loadGguf(path), FairlError)).code;
    };
    for (const length of [0, 3, 8, 40, 1000, 4000, whole.length - 1]) {
      assertEquals(await codeOf(whole.slice(0, length)), "hub.gguf", `${length} bytes`);
    }
    assertEquals(await codeOf(new TextEncoder().encode("no such file\n".repeat(9))), "hub.gguf");
    const replaced = (from: string, to: string) => {
      const text = new TextDecoder("latin1").decode(whole);
      assert(text.includes(from) && from.length === to.length);
      return Uint8Array.from(text.replaceAll(from, to), (letter) => letter.charCodeAt(0));
    };
    assertEquals(await codeOf(replaced("llama", "mamba")), "lm.config");
    assertEquals(await codeOf(replaced("gpt-2", "gpt-9")), "lm.tokenizer");
    assertEquals(await codeOf(replaced("blk.1.ffn_up", "blk.1.ffn_no")), "lm.weights");
  });
});

const real = Deno.env.get("FAIRL_SMOLLM2");

Deno.test({
  name: "SmolLM2-135M gives transformers' logits within 1e-3 and llama.cpp's token ids",
  ignore: !real,
  async fn() {
    const model = await loadGguf(real!);
    const { tokenizer, config } = model;
    const ids = smollm2.map(({ ids }) => ids);
    assertEquals(smollm2.map(({ text }) => [...tokenizer.encode(text)]), ids);
    for (const { text } of smollm2) {
      const without = text.replaceAll(/<\|\w+\|>/g, "");
      assertEquals(tokenizer.decode(tokenizer.encode(text)), without);
    }
    await using runtime = await Runtime.open("native");
    const found = await logitsOf(runtime, model, ids);
    smollm2.forEach(({ text, nextLogs, best, every192nd }, row) => {
      const size = config.vocabulary;
      const at = (place: number) => found[row]!.subarray(place * size, (place + 1) * size);
      const last = at(ids[row]!.length - 1);
      assertEquals(last.indexOf(Math.max(...last)), best, text);
      const sparse = every192nd.map((_, index) => last[192 * index]!);
      const off = distance(sparse, every192nd);
      const logs = nextLogs.map((_, place) => {
        const own = at(place);
        const most = Math.max(...own);
        const sum = own.reduce((total, logit) => total + Math.exp(logit - most), 0);
        return own[ids[row]![place + 1]!]! - most - Math.log(sum);
      });
      const logsOff = distance(logs, nextLogs);
      assert(off < 1e-3 && logsOff < 1e-3, `${text}: off by ${off}, log p by ${logsOff}`);
    });
  },
});
