/** Muon: moves with singular values near 1, on each device. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import {
  add,
  matmul,
  mul,
  muon,
  reduceMean,
  reduceSum,
  sub,
  Trainer,
} from "../../src/graph/mod.ts";
import { Runtime, tensor } from "../../src/runtime/mod.ts";

/** Product of two row-major matrices. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, rows: number, columns: number) {
  const inner = a.length / rows;
  return Float32Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) {
      sum += a[Math.floor(at / columns) * inner + k]! * b[k * columns + at % columns]!;
    }
    return sum;
  });
}

/** A Householder reflection, which is orthogonal and symmetric. */
function reflection(size: number, random: Random): Float32Array {
  const v = random.normals(size);
  const norm = v.reduce((sum, x) => sum + x * x, 0);
  return Float32Array.from(
    { length: size * size },
    (_, at) => +(at % (size + 1) === 0) - 2 * v[Math.floor(at / size)]! * v[at % size]! / norm,
  );
}

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`muon keeps a gradient's singular vectors and brings its singular values near 1 on ${device}`, async () => {
    const random = new Random(0, "muon");
    for (const [rows, columns] of [[6, 4], [4, 6]] as const) {
      const [u, v] = [reflection(rows, random), reflection(columns, random)];
      const values = [5, 2, 1, 0.2];
      const diagonal = new Float32Array(rows * columns);
      values.forEach((value, at) => diagonal[at * columns + at] = value);
      const slope = product(product(u, diagonal, rows, columns), v, rows, columns);
      await using runtime = await Runtime.open(device);
      await using trainer = await Trainer.open(runtime, {
        parameters: {
          one: {
            value: tensor("float32", [rows, columns], new Float32Array(rows * columns)),
            orthogonal: true,
          },
          two: {
            value: tensor("float32", [rows, columns], new Float32Array(rows * columns)),
            orthogonal: true,
          },
        },
        constants: { slope: tensor("float32", [rows, columns], slope) },
        // The gradient is the constant itself, for the second matrix ten times as large.
        loss: ({ parameters: { one, two }, constants: { slope } }) =>
          reduceSum(mul(slope!, add(one!, mul(two!, 10)))),
        optimizer: muon(),
        stepsPerRun: 1,
      });
      await trainer.run({ learningRate: 1 });
      const { one, two } = await trainer.parameters();
      const scale = -Math.sqrt(Math.max(1, rows / columns));
      for (const { data } of [one!, two!]) {
        const moved = product(product(u, data, rows, columns), v, rows, columns);
        moved.forEach((value, at) => {
          const onDiagonal = Math.floor(at / columns) === at % columns;
          const size = value / scale;
          if (onDiagonal) assert(size > 0.65 && size < 1.3, `singular value ${size}`);
          else assert(Math.abs(size) < 1e-3, `off the diagonal: ${size}`);
        });
      }
    }
  });
}

Deno.test("muon moves unmarked parameters by AdamW, and steps that are not made change nothing", async () => {
  const random = new Random(1, "muon");
  await using runtime = await Runtime.open("wasm");
  const open = (stepsPerRun: number) =>
    Trainer.open(runtime, {
      parameters: {
        weight: {
          value: tensor("float32", [3, 3], Float32Array.from(random.normals(9))),
          orthogonal: true,
        },
        bias: { value: tensor("float32", [3], Float32Array.of(1, -2, 3)) },
      },
      constants: { x: tensor("float32", [8, 3], new Random(2, "x").normals(24)) },
      loss({ parameters: { weight, bias }, constants: { x } }) {
        const error = sub(add(matmul(x!, weight!), bias!), mul(x!, 2));
        return reduceMean(mul(error, error));
      },
      optimizer: muon({ weightDecay: 0.1 }),
      stepsPerRun,
    });
  await using long = await open(4);
  await using short = await open(1);
  await short.reset(await long.parameters());
  await long.run({ learningRate: 0.05, steps: 1 });
  const { loss: [first] } = await short.run({ learningRate: 0.05 });
  assertEquals(await long.parameters(), await short.parameters());
  const { bias } = await short.parameters();
  // AdamW's first step is the rate itself, towards lower loss; here 0.2 of the matrices' rate.
  const moves = [1, -2, 3].map((value, at) => Math.abs(bias!.data[at]! - value));
  for (const move of moves) assert(Math.abs(move - 0.01) < 1e-4, `moved by ${move}`);
  let last = first!;
  for (let step = 0; step < 200; step++) last = (await short.run({ learningRate: 0.05 })).loss[0]!;
  assert(last < first! / 20, `${first} to ${last}`);
});

Deno.test("only matrices can be orthogonalised", async () => {
  await using runtime = await Runtime.open("wasm");
  const error = await assertRejects(() =>
    Trainer.open(runtime, {
      parameters: {
        bias: { value: tensor("float32", [3], new Float32Array(3)), orthogonal: true },
      },
      loss: ({ parameters: { bias } }) => reduceSum(bias!),
      optimizer: muon(),
      stepsPerRun: 1,
    }), FairlError);
  assertEquals(error.code, "graph.shape");
});
