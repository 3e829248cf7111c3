/** Safetensors in one file and in several, read one tensor at a time. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { FairlError } from "../../src/base/mod.ts";
import {
  openSafetensors,
  openShards,
  readSafetensors,
  shardsOf,
  type WeightTensor,
  writeSafetensors,
} from "../../src/hub/mod.ts";
import { configJson, loadModel, parseConfig, trainBpe } from "../../src/lm/mod.ts";
import lm from "../lm/fixtures/lm.json" with { type: "json" };
import { withFolder } from "../cli/process.ts";

const CODE = "hub.safetensors";
const TENSORS: Record<string, WeightTensor> = {
  a: { dims: [2, 3], data: Float32Array.of(1, -2, 3.5, 0, 1e-3, 7) },
  b: { dims: [1], data: Float32Array.of(0.25) },
};

Deno.test("a file that is opened gives the tensors that its bytes give", async () => {
  await withFolder(async (folder) => {
    for (const type of ["F32", "F16"] as const) {
      const bytes = writeSafetensors(TENSORS, type);
      const path = join(folder, type);
      await Deno.writeFile(path, bytes);
      using file = await openSafetensors(path);
      const found = new Map<string, WeightTensor>();
      for (const name of file.names) found.set(name, (await file.read(name))!);
      assertEquals(found, readSafetensors(bytes));
      assertEquals(await file.read("c"), undefined);
    }
  });
});

Deno.test("bfloat16 is widened, and tensors of other types are left out", async () => {
  await withFolder(async (folder) => {
    const head = JSON.stringify({
      half: { dtype: "BF16", shape: [2], data_offsets: [0, 4] },
      count: { dtype: "I64", shape: [1], data_offsets: [4, 12] },
    });
    const bytes = new Uint8Array(8 + head.length + 12);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
    bytes.set(new TextEncoder().encode(head), 8);
    // 1.5 and -2: the upper halves of 0x3fc00000 and 0xc0000000.
    bytes.set([0xc0, 0x3f, 0x00, 0xc0], 8 + head.length);
    const path = join(folder, "a");
    await Deno.writeFile(path, bytes);
    using file = await openSafetensors(path);
    assertEquals([...(await file.read("half"))!.data], [1.5, -2]);
    assertEquals(await file.read("count"), undefined);
    assertEquals([...readSafetensors(bytes).keys()], ["half"]);
  });
});

Deno.test("foreign and cut safetensors files and indices are named errors", async () => {
  await withFolder(async (folder) => {
    const whole = writeSafetensors(TENSORS, "F32");
    const path = join(folder, "a");
    const wrong = [0, 7, 8, 20, whole.length - 1].map((length) => whole.slice(0, length));
    wrong.push(new TextEncoder().encode("no such file\n".repeat(9)));
    for (const bytes of wrong) {
      await Deno.writeFile(path, bytes);
      assertEquals((await assertRejects(() => openSafetensors(path), FairlError)).code, CODE);
      assertEquals(assertThrows(() => readSafetensors(bytes), FairlError).code, CODE);
    }
    for (
      const index of ["{", "{}", '{"weight_map":{}}', '{"weight_map":{"a":"../x.safetensors"}}']
    ) {
      assertEquals(assertThrows(() => shardsOf(index), FairlError).code, CODE);
    }
  });
});

Deno.test("a model in several files is the model that it is in one", async () => {
  await withFolder(async (folder) => {
    const { config: json, weights } = lm.cases["llama, shared keys and values, tied"];
    const config = parseConfig(json);
    const write = (name: string, content: unknown) =>
      Deno.writeTextFile(join(folder, name), JSON.stringify(content));
    await write("config.json", configJson(config));
    await write("tokenizer.json", trainBpe(["a rainy day in may"], 262));
    const tensors = Object.entries(weights).map(([name, { dims, data }]) =>
      [name, { dims, data: Float32Array.from(data) }] as const
    );
    const file = (part: typeof tensors) => writeSafetensors(Object.fromEntries(part), "F32");
    await Deno.writeFile(join(folder, "model.safetensors"), file(tensors));
    const one = await loadModel(folder);
    await Deno.remove(join(folder, "model.safetensors"));

    const shards = {
      "model-1-of-2.safetensors": tensors.slice(0, 5),
      "model-2-of-2.safetensors": tensors.slice(5),
    };
    const map: Record<string, string> = {};
    for (const [name, part] of Object.entries(shards)) {
      await Deno.writeFile(join(folder, name), file(part));
      for (const [weight] of part) map[weight] = name;
    }
    await write("model.safetensors.index.json", { metadata: {}, weight_map: map });
    using files = await openShards(Object.keys(shards).map((name) => join(folder, name)));
    assertEquals(files.names.length, tensors.length);
    const several = await loadModel(folder);
    assertEquals(several.weights, one.weights);

    await Deno.remove(join(folder, "model-2-of-2.safetensors"));
    const error = await assertRejects(() => loadModel(folder), FairlError);
    assertEquals(error.code, "lm.missing");
  });
});
