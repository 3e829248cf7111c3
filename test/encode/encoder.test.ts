/** Dedupe, batches, progress, abort and the cache, around the real encoder. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { FairlError, type Progress, silent } from "../../src/base/mod.ts";
import {
  BatchingEncoder,
  FeatureCache,
  openEncoder,
  type TextModel,
} from "../../src/encode/mod.ts";
import { sentences } from "./texts.ts";

/** Counts what it is asked for: a text's embedding is its length and its first character. */
function countingModel(batchTokens = 8): TextModel & { batches: number[][] } {
  const batches: number[][] = [];
  return {
    id: "counting@1:float32",
    dimension: 2,
    device: "wasm",
    batchTokens,
    batches,
    tokenize: (text) => Int32Array.from(text, (symbol) => symbol.codePointAt(0)!),
    embed(ids, tokens) {
      const rows = tokens === 0 ? 1 : ids.length / tokens;
      batches.push([rows, tokens]);
      const result = new Float32Array(2 * rows);
      for (let row = 0; row < rows; row++) result.set([tokens, ids[row * tokens] ?? 0], 2 * row);
      return Promise.resolve(result);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("each distinct text is computed once, in batches of equal length", async () => {
  const model = countingModel();
  await using encoder = new BatchingEncoder(model);
  const texts = ["abc", "", "x", "abc", "def", "ghi", "x", "\ud800", "\ufffd", ""];
  const features = await encoder.encode(texts);
  const expected = [[3, 97], [0, 0], [1, 120], [3, 97], [3, 100], [3, 103], [1, 120]];
  assertEquals([...features], [...expected, [1, 0xfffd], [1, 0xfffd], [0, 0]].flat());
  assertEquals(model.batches, [[2, 3], [1, 3], [2, 1], [1, 0]]);
});

Deno.test("no text gives no row", async () => {
  await using encoder = new BatchingEncoder(countingModel());
  assertEquals(await encoder.encode([]), new Float32Array(0));
});

Deno.test("progress counts distinct texts and names a rate", async () => {
  const seen: [number, string | undefined][] = [];
  let total = 0;
  const progress: Progress = {
    ...silent,
    start: (_, count) => total = count,
    update: (done, note) => seen.push([done, note]),
  };
  await using encoder = new BatchingEncoder(countingModel());
  await encoder.encode(["aa", "bb", "aa", "c"], { progress });
  assertEquals(total, 3);
  assertEquals(seen.map(([done]) => done), [0, 2, 3]);
  assert(/^\d+\/s, 0 s left$/.test(seen.at(-1)![1]!), seen.at(-1)![1]);
});

Deno.test("rows come back from the cache as the same bytes, and only new texts are computed", async () => {
  await withFolder(async (cache) => {
    const texts = await sentences(40);
    let first: Float32Array;
    {
      await using encoder = await openEncoder("use-lite", { device: "wasm", cache });
      first = await encoder.encode(texts.slice(0, 30));
    }
    const model = countingModel();
    await using encoder = await openEncoder("use-lite", { device: "wasm", cache });
    const again = await encoder.encode(texts);
    assertEquals(again.subarray(0, first.length), first);
    // Another encoder does not see these rows.
    using other = await FeatureCache.open(cache, model);
    assertEquals(other.load(texts, new Float32Array(2 * texts.length)).length, texts.length);
  });
});

Deno.test("an abort ends within a second, and what was done is kept", async () => {
  await withFolder(async (cache) => {
    const texts = await sentences(4000);
    const controller = new AbortController();
    let aborted = 0;
    let done = 0;
    const progress: Progress = {
      ...silent,
      update(count) {
        done = count;
        if (count > 0 && aborted === 0) {
          aborted = performance.now();
          controller.abort();
        }
      },
    };
    {
      await using encoder = await openEncoder("use-lite", { device: "wasm", cache });
      await assertRejects(
        () => encoder.encode(texts, { progress, signal: controller.signal }),
        DOMException,
      );
      assert(performance.now() - aborted < 1000);
    }
    assert(done > 0 && done < new Set(texts).size);
    const key = await keyOf("use-lite");
    using kept = await FeatureCache.open(cache, key);
    const distinct = [...new Set(texts)];
    const missing = kept.load(distinct, new Float32Array(distinct.length * 512));
    assertEquals(missing.length, distinct.length - done);
  });
});

async function keyOf(name: string) {
  await using encoder = await openEncoder(name, { device: "wasm" });
  return { id: encoder.id, device: encoder.device, dimension: encoder.dimension };
}

const KEY = { id: "test", device: "wasm", dimension: 16 };
const WRITER = fromFileUrl(new URL("./cache_writer.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../../deno.json", import.meta.url));

/** A process that writes rows `from`, `from + 1`, ... until it is stopped. */
function writer(folder: string, from: number, rows: number): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      "--no-check",
      "--config",
      CONFIG,
      WRITER,
      folder,
      `${from}`,
      `${rows}`,
    ],
    stdout: "null",
  }).spawn();
}

async function wholeRows(folder: string, count: number): Promise<number> {
  using cache = await FeatureCache.open(folder, KEY);
  const rows = new Float32Array(16 * count);
  const missing = new Set(cache.load(Array.from({ length: count }, (_, at) => `${at}`), rows));
  for (let at = 0; at < count; at++) {
    if (missing.has(at)) continue;
    assert(rows.subarray(16 * at, 16 * at + 16).every((value) => value === at), `row ${at}`);
  }
  return count - missing.size;
}

Deno.test("a killed process leaves only whole rows, and the next one goes on", async () => {
  await withFolder(async (folder) => {
    let before = 0;
    for (const wait of [300, 500, 700]) {
      const child = writer(folder, before, 1e6);
      await new Promise((resume) => setTimeout(resume, wait));
      child.kill("SIGKILL");
      await child.status;
      const rows = await wholeRows(folder, 60_000);
      assert(rows >= before);
      before = rows;
    }
    assert(before > 0);
  });
});

Deno.test("two processes fill one cache at once", async () => {
  await withFolder(async (folder) => {
    const children = [writer(folder, 0, 3000), writer(folder, 1500, 3000)];
    for (const child of children) assert((await child.status).success);
    assertEquals(await wholeRows(folder, 5000), 4500);
  });
});

Deno.test("a file that is no cache is named, with the mend", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "test-wasm.v1.sqlite"), "no database ".repeat(100));
    const error = await assertRejects(() => FeatureCache.open(folder, KEY), FairlError);
    assertEquals(error.code, "encode.cache");
    assert(error.message.includes("delete it"));
  });
});

Deno.test("an encoder that does not exist is named", async () => {
  const error = await assertRejects(() => openEncoder("no-such-encoder"), FairlError);
  assertEquals(error.code, "encode.name");
});
