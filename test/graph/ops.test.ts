/** Values and gradients of every operator, against double precision and between the devices. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FairlError } from "../../src/base/mod.ts";
import { constant, gradient, Program, type ProgramSpec, type Value } from "../../src/graph/mod.ts";
import * as ops from "../../src/graph/ops/mod.ts";
import { Runtime, sizeOf, tensor } from "../../src/runtime/mod.ts";
import { type Example, EXAMPLES } from "./examples.ts";

/** What a device made of an example: its value, then the gradient for each input. */
type Results = Record<string, readonly number[]>;

/** Different for each element, so that no mistake in the order of elements cancels. */
const weight = (at: number) => Math.cos(at + 1);

function programOf({ dims, apply }: Example, half: boolean): ProgramSpec {
  return {
    inputs: Object.fromEntries(dims.map((dims, at) => [`x${at}`, { type: "float32", dims }])),
    outputs({ inputs }) {
      const x = Object.values(inputs);
      const within = half ? x.map((value) => ops.cast(value, "float16")) : x;
      const value = ops.cast(apply(...within), "float32");
      const weights = Float32Array.from({ length: sizeOf(value.dims) }, (_, at) => weight(at));
      const loss = ops.reduceSum(ops.mul(value, constant(tensor("float32", value.dims, weights))));
      const outputs: Record<string, Value> = { value };
      gradient(loss, x).forEach((dx, at) => outputs[`dx${at}`] = dx);
      return outputs;
    },
  };
}

async function run(runtime: Runtime, example: Example, half = false): Promise<Results> {
  await using program = await Program.open(runtime, programOf(example, half));
  const feeds = example.inputs.map((data, at) =>
    [`x${at}`, tensor("float32", example.dims[at]!, Float32Array.from(data))] as const
  );
  const results = await program.run(Object.fromEntries(feeds));
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name, Array.from(data, Number)]),
  );
}

/** The value in double precision, and central differences of the weighted sum of its elements. */
function expected({ inputs, reference, flows }: Example): Results {
  const copy = () => inputs.map((data) => Array.from(Float32Array.from(data)));
  const results: Record<string, number[]> = { value: reference(...copy()) };
  const loss = (at: number, element: number, step: number) => {
    const x = copy();
    x[at]![element]! += step;
    return reference(...x).reduce((total, item, index) => total + item * weight(index), 0);
  };
  const step = 1e-5;
  inputs.forEach((data, at) => {
    results[`dx${at}`] = data.map((_, element) =>
      flows === false ? 0 : (loss(at, element, step) - loss(at, element, -step)) / (2 * step)
    );
  });
  return results;
}

/** Each element within a part of the largest one of its tensor. */
function assertNear(actual: Results, wanted: Results, tolerance: number, what: string): void {
  assertEquals(Object.keys(actual), Object.keys(wanted), what);
  for (const [name, list] of Object.entries(wanted)) {
    const scale = Math.max(1, ...list.map(Math.abs));
    assertEquals(actual[name]!.length, list.length, `${what}, ${name}: number of elements`);
    list.forEach((item, at) => {
      const off = Math.abs(actual[name]![at]! - item) / scale;
      assert(off <= tolerance, `${what}, ${name}[${at}]: ${actual[name]![at]} is not ${item}`);
    });
  }
}

const nameOf = ({ op, about }: Example) => about ? `${op} (${about})` : op;

Deno.test("each exported operator has an example", () => {
  const shown = new Set<string>(EXAMPLES.map(({ op }) => op));
  const missing = Object.keys(ops).filter((name) => !shown.has(name));
  assertEquals(missing, []);
});

Deno.test("values are those of double precision, gradients those of central differences; wasm, native and webgpu agree", async (test) => {
  await using wasm = await Runtime.open("wasm");
  await using native = await Runtime.open("native");
  await using webgpu = await Runtime.open("webgpu");
  for (const example of EXAMPLES) {
    await test.step(nameOf(example), async () => {
      const onWasm = await run(wasm, example);
      assertNear(onWasm, expected(example), 2e-5, "wasm");
      assertNear(await run(native, example), onWasm, 1e-4, "native");
      assertNear(await run(webgpu, example), onWasm, 1e-4, "webgpu");
    });
  }
});

Deno.test("float16 is computed where the device can, and is a named error where it cannot", async (test) => {
  await using wasm = await Runtime.open("wasm");
  await using webgpu = await Runtime.open("webgpu");
  for (const example of EXAMPLES) {
    await test.step(nameOf(example), async () => {
      if (webgpu.hasFloat16) {
        assertNear(await run(webgpu, example, true), await run(wasm, example), 2e-2, "webgpu");
      } else {
        const error = await assertRejects(() => run(webgpu, example, true), FairlError);
        assertEquals(error.code, "graph.float16");
      }
    });
  }
});

/** Where a derivative is a matter of convention, or a naive formula overflows. */
const CORNERS: Record<string, [(x: Value) => Value, number[], Results]> = {
  "abs at 0": [ops.abs, [0], { value: [0], slope: [0] }],
  "relu at 0": [ops.relu, [0], { value: [0], slope: [0] }],
  "a tie of minimum": [(x) => ops.minimum(x, 2), [2], { value: [2], slope: [1] }],
  "a tie of maximum": [(x) => ops.maximum(x, 2), [2], { value: [2], slope: [1] }],
  "a tie of reduceMax": [ops.reduceMax, [3, 1, 3], { value: [3], slope: [0.5, 0, 0.5] }],
  "reduceL2 at 0": [ops.reduceL2, [0, 0], { value: [0], slope: [0, 0] }],
  "softplus far out": [ops.softplus, [200, -200], { value: [200, 0], slope: [1, 0] }],
  "sigmoid far out": [ops.sigmoid, [200, -200], { value: [1, 0], slope: [0, 0] }],
  "tanh far out": [ops.tanh, [200, -200], { value: [1, -1], slope: [0, 0] }],
  "logSumExp far out": [ops.logSumExp, [200, 200], {
    value: [200 + Math.LN2],
    slope: [0.5, 0.5],
  }],
  "softmax far out": [ops.softmax, [200, 0], { value: [1, 0], slope: [0, 0] }],
  // The gradient of the sum: 1 - 2 softmax.
  "logSoftmax far out": [ops.logSoftmax, [200, 0], { value: [0, -200], slope: [-1, 1] }],
};

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`gradients keep their conventions at kinks, and nothing overflows, on ${device}`, async (test) => {
    await using runtime = await Runtime.open(device);
    for (const [name, [apply, x, wanted]] of Object.entries(CORNERS)) {
      await test.step(name, async () => {
        await using program = await Program.open(runtime, {
          inputs: { x: { type: "float32", dims: [x.length] } },
          outputs({ inputs }) {
            const value = apply(inputs["x"]!);
            return { value, slope: gradient(ops.reduceSum(value), [inputs["x"]!])[0]! };
          },
        });
        const results = await program.run({
          x: tensor("float32", [x.length], Float32Array.from(x)),
        });
        const found = Object.entries(results).map(([key, { data }]) =>
          [key, Array.from(data, Number)] as const
        );
        assertNear(Object.fromEntries(found), wanted, 1e-6, device);
      });
    }
  });
}

Deno.test("operands that do not fit are graph.shape or graph.type while tracing", () => {
  const x = (...dims: number[]) =>
    constant(tensor("float32", dims, new Float32Array(sizeOf(dims)).fill(1)));
  const whole = constant(1, "int32");
  const wrong: [string, string, () => unknown][] = [
    ["broadcast", "graph.shape", () => ops.add(x(2, 3), x(2))],
    ["inner sizes", "graph.shape", () => ops.matmul(x(2, 3), x(2, 3))],
    ["inner sizes of batches", "graph.shape", () => ops.matmul(x(2, 2, 3), x(2, 2, 3))],
    ["gemm of vectors", "graph.shape", () => ops.gemm(x(3), x(3))],
    ["reshape", "graph.shape", () => ops.reshape(x(2, 3), [4])],
    ["reshape with a rest", "graph.shape", () => ops.reshape(x(2, 3), [4, -1])],
    ["squeeze", "graph.shape", () => ops.squeeze(x(2, 3), [0])],
    ["expand", "graph.shape", () => ops.expand(x(2), [3])],
    ["transpose", "graph.shape", () => ops.transpose(x(2, 3), [0, 0])],
    ["concat", "graph.shape", () => ops.concat([x(2, 3), x(2, 2)])],
    ["split", "graph.shape", () => ops.split(x(4), [1, 2])],
    ["an axis too far", "graph.shape", () => ops.reduceSum(x(2), { axes: [1] })],
    ["layerNorm", "graph.shape", () => ops.layerNorm(x(2, 3), x(2), x(3))],
    ["gradient of a vector", "graph.shape", () => gradient(x(2), [])],
    ["two types", "graph.type", () => ops.add(x(2), whole)],
    ["exp of int32", "graph.type", () => ops.exp(whole)],
    ["gather by floats", "graph.type", () => ops.gather(x(2), x(1))],
    ["where of floats", "graph.type", () => ops.where(x(2), 1, 0)],
    ["and of floats", "graph.type", () => ops.and(x(2), x(2))],
    ["not of floats", "graph.type", () => ops.not(x(2))],
  ];
  for (const [what, code, trace] of wrong) {
    assertEquals(assertThrows(trace, FairlError, undefined, what).code, code, what);
  }
});
