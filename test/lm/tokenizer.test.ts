/** Byte-level BPE: trained here, read by @huggingface/tokenizers. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FairlError } from "../../src/base/mod.ts";
import { openTokenizer, trainBpe } from "../../src/lm/mod.ts";

const texts = [
  "the quick brown fox jumps over the lazy dog",
  "the dog didn't jump, the fox did",
  "a lazy afternoon: 42 dogs, no foxes",
];

Deno.test("any text is read back exactly", async () => {
  const { encode, decode } = await openTokenizer(trainBpe(texts, 300));
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    // Two special tokens may be written into a text; that is what they are for.
    fc.pre(!/<\/?s>/.test(text));
    assertEquals(decode(encode(text)), text.isWellFormed() ? text : text.toWellFormed());
  }));
  assertEquals(decode([]), "");
  assertEquals(decode([0, ...encode("dog"), 1]), "dog");
});

Deno.test("merges make common words short, and the same texts give the same tokenizer", async () => {
  const json = trainBpe(texts, 320);
  assertEquals(trainBpe(texts, 320), json);
  const { encode } = await openTokenizer(json);
  assertEquals(encode("the lazy dog").length, 3);
  assert(encode("zebra").length >= 4);
  const { vocab } = json["model"] as { vocab: Record<string, number> };
  const ids = Object.values(vocab).sort((a, b) => a - b);
  assertEquals(ids, ids.map((_, at) => at));
  assert(encode("the fox").every((id) => id >= 2));
});

Deno.test("the first merge is the commonest pair, as counted by hand", () => {
  const { merges } = trainBpe(["ab ab ab b"], 259)["model"] as { merges: string[][] };
  assertEquals(merges, [["a", "b"]]);
});

Deno.test("no room for merges and a foreign tokenizer are named errors", async () => {
  assertEquals(assertThrows(() => trainBpe(texts, 258), FairlError).code, "lm.vocabulary");
  const error = await assertRejects(() => openTokenizer({ model: { type: "?" } }), FairlError);
  assertEquals(error.code, "lm.tokenizer");
});
