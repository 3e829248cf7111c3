/** Forward-only graphs whose sizes differ from run to run. */
import { assertEquals, assertThrows } from "@std/assert";
import { FairlError } from "../../src/base/mod.ts";
import * as G from "../../src/graph/mod.ts";
import { Runtime, tensor } from "../../src/runtime/mod.ts";

const counting = (...dims: number[]) => {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return tensor("float32", dims, Float32Array.from({ length }, (_, at) => at % 7 - 3));
};

/** A bit of an encoder: two named sizes, through products, heads, softmax, pieces and pooling. */
function encode(x: G.Value): Record<string, G.Value> {
  const weight = G.constant(counting(4, 4));
  const projected = G.matmul(x, weight);
  const heads = G.transpose(G.reshape(projected, [...x.dims.slice(0, 2), 2, 2]), [0, 2, 1, 3]);
  const weights = G.softmax(G.matmul(heads, G.transpose(heads)));
  const mixed = G.reshape(G.transpose(G.matmul(weights, heads), [0, 2, 1, 3]), x.dims);
  const half = G.concat([G.slice(mixed, [2], [4], [2]), ...G.split(x, [1, 3], 2)], 2);
  return {
    pooled: G.reduceMean(half, { axes: [1] }),
    score: G.squeeze(G.matmul(x, G.constant(counting(4, 1))), [2]),
    repeated: G.expand(G.reduceMax(x, { axes: [2], keepDims: true }), [...x.dims.slice(0, 2), 3]),
  };
}

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`a graph of named sizes computes what one of fixed sizes does on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const open = (dims: (number | string)[]) =>
      G.Program.open(runtime, {
        inputs: { x: { type: "float32", dims } },
        outputs: ({ inputs }) => encode(inputs["x"]!),
      });
    await using named = await open(["batch", "length", 4]);
    for (const dims of [[1, 3, 4], [5, 2, 4]]) {
      await using fixed = await open(dims);
      const x = counting(...dims);
      const [found, wanted] = [await named.run({ x }), await fixed.run({ x })];
      for (const [name, { dims, data }] of Object.entries(wanted)) {
        assertEquals(found[name]!.dims, dims, name);
        data.forEach((item, at) => {
          const off = Math.abs(Number(found[name]!.data[at]) - Number(item));
          if (!(off <= 1e-5)) throw new Error(`${name}[${at}]: ${found[name]!.data[at]}, ${item}`);
        });
      }
    }
  });
}

Deno.test("what needs to know a size says so when the size is named", () => {
  const wrong: Record<string, (x: G.Value) => G.Value> = {
    "two sizes in one": (x) => G.reshape(x, [-1, 4]),
    "a number for a named size": (x) => G.reshape(x, [2, 4]),
    "two sizes exchanged": (x) => G.reshape(x, [x.dims[1]!, 2, x.dims[0]!, 2]),
    "repeated to it": (x) => G.expand(G.reduceMax(x, { axes: [0], keepDims: true }), x.dims),
    "joined along it": (x) => G.concat([x, x]),
    "cut along it": (x) => G.slice(x, [0], [1]),
    "pieces along it": (x) => G.split(x, [1, 1])[0]!,
    "a gradient": (x) => G.gradient(G.reduceMean(x), [x])[0]!,
  };
  for (const [what, outputOf] of Object.entries(wrong)) {
    const error = assertThrows(
      () =>
        G.traceModel({
          inputs: { x: { type: "float32", dims: ["batch", "length", 4] } },
          outputs: ({ inputs: { x } }) => ({ y: outputOf(x!) }),
        }),
      FairlError,
      undefined,
      what,
    );
    assertEquals(error.code, "graph.shape", what);
  }
});
