/** Shared wasm memory under onnxruntime's threads. */
import { assert, assertEquals } from "@std/assert";
import { Runtime, tensor } from "../../src/runtime/mod.ts";
import { encodeModel } from "../../src/graph/mod.ts";
import { growSharedMemorySeldom } from "../../src/runtime/memory.ts";

const GIB = 1024 ** 3;

Deno.test("shared memory grows by the GiB where there is room, else by what is asked for", () => {
  growSharedMemorySeldom();
  const roomy = new WebAssembly.Memory({ shared: true, initial: 1, maximum: 65_536 });
  assertEquals(roomy.grow(3), 1);
  assertEquals(roomy.buffer.byteLength, GIB);
  assertEquals(roomy.grow(1), GIB / 65_536);
  assertEquals(roomy.buffer.byteLength, 2 * GIB);
  const narrow = new WebAssembly.Memory({ shared: true, initial: 1, maximum: 9 });
  assertEquals(narrow.grow(3), 1);
  assertEquals(narrow.buffer.byteLength, 4 * 65_536);
  const own = new WebAssembly.Memory({ initial: 1, maximum: 9 });
  assertEquals([own.grow(3), own.buffer.byteLength], [1, 4 * 65_536]);
});

Deno.test("onnxruntime's wasm memory grows once for many tensors, so its threads do not miss it", async () => {
  let grown = 0;
  const { prototype } = WebAssembly.Memory;
  await using runtime = await Runtime.open("wasm");
  const { grow } = prototype;
  prototype.grow = function (pages: number) {
    grown++;
    return grow.call(this, pages);
  };
  try {
    const dims = [512, 1024];
    const session = await runtime.session(encodeModel({
      name: "product",
      nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["c"] }],
      initializers: {},
      inputs: [
        { name: "a", type: "float32", dims },
        { name: "b", type: "float32", dims: dims.toReversed() },
      ],
      outputs: [{ name: "c", type: "float32", dims: [512, 512] }],
    }));
    const ones = new Float32Array(512 * 1024).fill(1);
    const feeds = {
      a: tensor("float32", dims, ones),
      b: tensor("float32", dims.toReversed(), ones),
    };
    for (let run = 0; run < 30; run++) {
      const { c } = await session.run(feeds);
      assertEquals((await runtime.read(c!)).data[7], 1024);
    }
  } finally {
    prototype.grow = grow;
  }
  assert(grown <= 1, `it grew ${grown} times`);
});
