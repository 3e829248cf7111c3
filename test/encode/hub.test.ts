/** Hub encoders: a small BERT made here, read from safetensors and as an ONNX export, offline. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { FairlError, Random } from "../../src/base/mod.ts";
import { encodeModel } from "../../src/graph/mod.ts";
import { openEncoder } from "../../src/encode/mod.ts";
import { bertModel } from "../../src/encode/bert_graph.ts";
import { pool, type Pooling } from "../../src/encode/pooling.ts";
import { readSafetensors } from "../../src/hub/mod.ts";
import { tensor } from "../../src/runtime/mod.ts";
import { bertStates, smallBert } from "./small_bert.ts";

const WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "morning", "a", "##s", "!"];
const BERT = smallBert(new Random(0, "bert"), WORDS.length);

const TOKENIZER = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: WORDS.slice(0, 4).map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: {
    type: "BertNormalizer",
    clean_text: true,
    handle_chinese_chars: true,
    strip_accents: null,
    lowercase: true,
  },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: {
      "[CLS]": { id: "[CLS]", ids: [2], tokens: ["[CLS]"] },
      "[SEP]": { id: "[SEP]", ids: [3], tokens: ["[SEP]"] },
    },
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
};

/** What a tokenizer of these words gives; 8 tokens are the most that the model's settings allow. */
const EXPECTED_IDS: [text: string, ids: number[]][] = [
  ["Good morning!", [2, 4, 6, 9, 3]],
  ["bad mornings", [2, 5, 6, 8, 3]],
  ["", [2, 3]],
  ["zebra \ud800", [2, 1, 3]],
  ["a a a a a a a a a a a a", [2, 7, 7, 7, 7, 7, 7, 3]],
];

interface Parts {
  pooling?: Record<string, boolean>;
  normalise?: boolean;
  weights?: "safetensors" | "onnx" | "none";
}

/** Writes a model folder, hands it over and removes it. */
async function withModel(parts: Parts, work: (folder: string) => Promise<void>): Promise<void> {
  const { pooling, normalise = false, weights = "safetensors" } = parts;
  const folder = await Deno.makeTempDir();
  const json = (path: string, value: unknown) =>
    Deno.writeTextFile(join(folder, path), JSON.stringify(value));
  try {
    await json("config.json", { model_type: "bert", ...BERT.config });
    await json("tokenizer.json", TOKENIZER);
    await json("tokenizer_config.json", { tokenizer_class: "BertTokenizer" });
    await json("sentence_bert_config.json", { max_seq_length: 8 });
    if (pooling) {
      const module = (name: string) => `sentence_transformers.models.${name}`;
      await Deno.mkdir(join(folder, "1_Pooling"));
      await json("1_Pooling/config.json", pooling);
      await json("modules.json", [
        { path: "", type: module("Transformer") },
        { path: "1_Pooling", type: module("Pooling") },
        ...(normalise ? [{ path: "2_Normalize", type: module("Normalize") }] : []),
      ]);
    }
    if (weights === "safetensors") {
      await Deno.writeFile(join(folder, "model.safetensors"), BERT.safetensors);
    }
    if (weights === "onnx") {
      await Deno.mkdir(join(folder, "onnx"));
      await Deno.writeFile(join(folder, "onnx", "model.onnx"), exportedModel());
    }
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A model with an export's inputs, whose state of a token tells all three apart. */
function exportedModel(): Uint8Array {
  const { hidden_size: width } = BERT.config;
  const int64 = (name: string) => ({ name, type: "int64", dims: ["texts", "tokens"] }) as const;
  return encodeModel({
    name: "export",
    nodes: [
      { op: "Gather", inputs: ["table", "input_ids"], outputs: ["words"] },
      {
        op: "Cast",
        inputs: ["attention_mask"],
        outputs: ["mask"],
        attributes: { to: { int: 1 } },
      },
      { op: "Unsqueeze", inputs: ["mask", "last"], outputs: ["column"] },
      { op: "Mul", inputs: ["words", "column"], outputs: ["kept"] },
      { op: "Gather", inputs: ["segments", "token_type_ids"], outputs: ["segment"] },
      { op: "Add", inputs: ["kept", "segment"], outputs: ["last_hidden_state"] },
    ],
    initializers: {
      table: tensor("float32", [WORDS.length, width], BERT.table),
      segments: tensor("float32", [2, width], new Float32Array(2 * width).fill(1, width)),
      last: tensor("int64", [1], BigInt64Array.of(-1n)),
    },
    inputs: [int64("input_ids"), int64("attention_mask"), int64("token_type_ids")],
    outputs: [{ name: "last_hidden_state", type: "float32", dims: ["texts", "tokens", width] }],
  });
}

function pooled(ids: number[], pooling: Pooling): Float32Array {
  return pool(bertStates(BERT, ids), ids.length, BERT.config.hidden_size, pooling);
}

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  assertEquals(actual.length, expected.length);
  actual.forEach((value, at) => assertAlmostEquals(value, expected[at]!, 1e-5, what));
}

const CASES: [name: string, parts: Parts, pooling: Pooling][] = [
  ["the mean at length 1 without a modules.json", {}, { modes: ["mean"], normalise: true }],
  ["the mean as configured", { pooling: { pooling_mode_mean_tokens: true } }, {
    modes: ["mean"],
    normalise: false,
  }],
  ["the first token, normalised", {
    pooling: { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false },
    normalise: true,
  }, { modes: ["cls"], normalise: true }],
  ["the maximum beside the mean", {
    pooling: { pooling_mode_mean_tokens: true, pooling_mode_max_tokens: true },
  }, { modes: ["max", "mean"], normalise: false }],
];

for (const [name, parts, pooling] of CASES) {
  Deno.test(`a BERT from safetensors gives ${name}`, async () => {
    await withModel(parts, async (folder) => {
      for (const device of ["wasm", "native"] as const) {
        await using encoder = await openEncoder(folder, { device });
        const size = BERT.config.hidden_size * pooling.modes.length;
        assertEquals(encoder.dimension, size);
        const features = await encoder.encode(EXPECTED_IDS.map(([text]) => text));
        EXPECTED_IDS.forEach(([text, ids], row) => {
          const actual = features.subarray(row * size, (row + 1) * size);
          assertClose(actual, pooled(ids, pooling), `${device}: ${text}`);
        });
      }
    });
  });
}

Deno.test("an ONNX export is fed ids, mask and segments", async () => {
  await withModel({ weights: "onnx" }, async (folder) => {
    await using encoder = await openEncoder(folder, { device: "wasm" });
    const features = await encoder.encode(["good bad"]);
    const width = BERT.config.hidden_size;
    const states = [2, 4, 5, 3].flatMap((id) => [
      ...BERT.table.subarray(id * width, (id + 1) * width),
    ]);
    const pooling = { modes: ["mean"], normalise: true } as const;
    assertClose(features, pool(Float32Array.from(states), 4, width, pooling), "export");
  });
});

Deno.test("a hub name is looked up in the mirror, and its id names the weights and the pooling", async () => {
  const ids = new Set<string>();
  for (const parts of [{}, { pooling: { pooling_mode_cls_token: true } }]) {
    await withModel(parts, async (folder) => {
      const mirror = await Deno.makeTempDir();
      try {
        await Deno.mkdir(join(mirror, "owner"));
        await Deno.rename(folder, join(mirror, "owner", "small"));
        await using encoder = await openEncoder("owner/small", { device: "wasm", mirror });
        assert(/^owner\/small@[0-9a-f]{16}:float32$/.test(encoder.id), encoder.id);
        ids.add(encoder.id);
        await Deno.rename(join(mirror, "owner", "small"), folder);
      } finally {
        await Deno.remove(mirror, { recursive: true });
      }
    });
  }
  assertEquals(ids.size, 2);
});

Deno.test("a model without weights is named", async () => {
  await withModel({ weights: "none" }, async (folder) => {
    const error = await assertRejects(() => openEncoder(folder, { device: "wasm" }), FairlError);
    assertEquals(error.code, "encode.missing");
  });
});

Deno.test("a broken config.json and a missing weight are named", async () => {
  await withModel({}, async (folder) => {
    await Deno.writeTextFile(join(folder, "config.json"), "{");
    const error = await assertRejects(() => openEncoder(folder, { device: "wasm" }), FairlError);
    assertEquals(error.code, "encode.model");
  });
  const weights = readSafetensors(BERT.safetensors);
  weights.delete("encoder.layer.1.output.dense.bias");
  let message = "";
  try {
    bertModel(BERT.config, weights);
  } catch (error) {
    message = (error as FairlError).message;
  }
  assert(message.includes("encoder.layer.1.output.dense.bias"), message);
});
