/** Broadcasting, reductions, pieces and rows for any shapes, against double precision. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import * as G from "../../src/graph/mod.ts";
import { type HostTensor, Runtime, sizeOf, tensor } from "../../src/runtime/mod.ts";

/** Row-major elements of a shape. */
interface Array64 {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

const RUNS = { numRuns: 60, seed: 7 };
const dimsOf = (least: number, most: number) =>
  fc.array(fc.integer({ min: 1, max: 3 }), { minLength: least, maxLength: most });
/** Fixed by place and away from zero, so that shrinking a failure shrinks its shapes alone. */
const filled = (dims: readonly number[], phase: number): Array64 => ({
  dims,
  data: Array.from(
    { length: sizeOf(dims) },
    (_, at) => Math.fround((at % 2 ? -1 : 1) * (1.2 + 0.7 * Math.sin(phase + 1.3 * at))),
  ),
});
const toTensor = ({ dims, data }: Array64): HostTensor<"float32"> =>
  tensor("float32", dims, Float32Array.from(data));

/** Shapes that broadcast to each other: a common one with axes set to 1 and front axes left out. */
const broadcastable = dimsOf(0, 4).chain((whole) => {
  const part = fc.tuple(
    fc.array(fc.boolean(), { minLength: whole.length, maxLength: whole.length }),
    fc.nat({ max: whole.length }),
  ).map(([ones, left]) => whole.map((dim, axis) => ones[axis] ? 1 : dim).slice(left));
  return fc.tuple(part, part);
});

/** The place of each element of the broadcast result in an operand. */
function places(dims: readonly number[], whole: readonly number[]): number[] {
  return Array.from({ length: sizeOf(whole) }, (_, at) => {
    let [rest, place, stride] = [at, 0, 1];
    for (let back = 1; back <= whole.length; back++) {
      const index = rest % whole.at(-back)!;
      rest = Math.floor(rest / whole.at(-back)!);
      if (back > dims.length) continue;
      place += dims.at(-back) === 1 ? 0 : index * stride;
      stride *= dims.at(-back)!;
    }
    return place;
  });
}

async function run(
  runtime: Runtime,
  given: Record<string, Array64>,
  outputs: (x: Record<string, G.Value>) => Record<string, G.Value>,
): Promise<Record<string, HostTensor>> {
  const tensors = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, toTensor(value)]),
  );
  await using program = await G.Program.open(runtime, {
    inputs: tensors,
    outputs: ({ inputs }) => outputs(inputs),
  });
  return await program.run(tensors);
}

function assertNear(actual: HostTensor, wanted: Array64, what: string): void {
  assertEquals(actual.dims, wanted.dims, what);
  wanted.data.forEach((item, at) => {
    const off = Math.abs(Number(actual.data[at]) - item);
    assert(
      off <= 2e-5 * Math.max(1, Math.abs(item)),
      `${what}[${at}]: ${actual.data[at]}, ${item}`,
    );
  });
}

/** Value and derivatives by each operand. */
type Rule = [
  apply: (a: G.Value, b: G.Value) => G.Value,
  value: (a: number, b: number) => number,
  slopes: (a: number, b: number) => [number, number],
];
const RULES: Record<string, Rule> = {
  add: [G.add, (a, b) => a + b, () => [1, 1]],
  sub: [G.sub, (a, b) => a - b, () => [1, -1]],
  mul: [G.mul, (a, b) => a * b, (a, b) => [b, a]],
  div: [G.div, (a, b) => a / b, (a, b) => [1 / b, -a / (b * b)]],
  maximum: [G.maximum, Math.max, (a, b) => a < b ? [0, 1] : [1, 0]],
  where: [
    (a, b) => G.where(G.greater(a, 0), b, a),
    (a, b) => a > 0 ? b : a,
    (a) => a > 0 ? [0, 1] : [1, 0],
  ],
};

Deno.test("operands of any shapes that broadcast have numpy's values and gradients of their own shape", async () => {
  await using runtime = await Runtime.open("wasm", { threads: 1 });
  await fc.assert(
    fc.asyncProperty(
      broadcastable,
      fc.constantFrom(...Object.keys(RULES)),
      fc.boolean(),
      async ([first, second], name, weighted) => {
        const [apply, value, slopes] = RULES[name]!;
        const rank = Math.max(first.length, second.length);
        const whole = Array.from(
          { length: rank },
          (_, axis) => Math.max(first.at(axis - rank) ?? 1, second.at(axis - rank) ?? 1),
        );
        const [a, b] = [filled(first, 0.3), filled(second, 1.1)];
        // Without weights the gradient that arrives is a scalar still to be broadcast.
        const weights = weighted ? filled(whole, 2.5) : undefined;
        const results = await run(runtime, { a, b }, ({ a, b }) => {
          const y = apply(a!, b!);
          const terms = weights ? G.mul(y, G.constant(toTensor(weights))) : y;
          const [da, db] = G.gradient(G.reduceSum(terms), [a!, b!]);
          return { y: G.add(y, 0.5), da: da!, db: db! };
        });
        const [atA, atB] = [places(first, whole), places(second, whole)];
        const [da, db] = [a.data.map(() => 0), b.data.map(() => 0)];
        const y = atA.map((from, at) => {
          const [p, q] = [a.data[from]!, b.data[atB[at]!]!];
          const [dp, dq] = slopes(p, q);
          const weight = weights?.data[at] ?? 1;
          da[from]! += weight * dp;
          db[atB[at]!]! += weight * dq;
          return value(p, q) + 0.5;
        });
        assertNear(results["y"]!, { dims: whole, data: y }, `${name}: value`);
        assertNear(results["da"]!, { dims: first, data: da }, `${name}: first gradient`);
        assertNear(results["db"]!, { dims: second, data: db }, `${name}: second gradient`);
      },
    ),
    RUNS,
  );
});

Deno.test("a reduction over any axes counts each element once, and its gradient finds the way back", async () => {
  await using runtime = await Runtime.open("wasm", { threads: 1 });
  const cases = dimsOf(1, 4).chain((dims) =>
    fc.tuple(fc.constant(dims), fc.subarray(dims.map((_, axis) => axis)), fc.boolean())
  );
  await fc.assert(
    fc.asyncProperty(cases, async ([dims, axes, keepDims]) => {
      const x = filled(dims, 0.9);
      const kept = dims.map((dim, axis) => axes.includes(axis) ? 1 : dim);
      const to = keepDims ? kept : dims.filter((_, axis) => !axes.includes(axis));
      const weights = filled(kept, 2.2).data;
      const results = await run(runtime, { x }, ({ x }) => {
        const outputs: Record<string, G.Value> = {};
        const scale = G.constant(tensor("float32", to, Float32Array.from(weights)));
        for (const name of ["reduceSum", "reduceMean", "logSumExp"] as const) {
          outputs[name] = G.add(G[name](x!, { axes, keepDims }), 0);
          const loss = G.reduceSum(G.mul(outputs[name], scale));
          outputs[`d ${name}`] = G.gradient(loss, [x!])[0]!;
        }
        return outputs;
      });
      const at = places(kept, dims);
      const sums = weights.map(() => 0);
      const exps = weights.map(() => 0);
      x.data.forEach((item, element) => {
        sums[at[element]!]! += item;
        exps[at[element]!]! += Math.exp(item);
      });
      const count = x.data.length / weights.length;
      const near = (name: string, data: number[], back: number[]) => {
        assertNear(results[name]!, { dims: to, data }, name);
        assertNear(results[`d ${name}`]!, { dims, data: back }, `gradient of ${name}`);
      };
      near("reduceSum", sums, at.map((place) => weights[place]!));
      near(
        "reduceMean",
        sums.map((sum) => sum / count),
        at.map((place) => weights[place]! / count),
      );
      near(
        "logSumExp",
        exps.map(Math.log),
        at.map((place, element) => weights[place]! * Math.exp(x.data[element]!) / exps[place]!),
      );
    }),
    RUNS,
  );
});

Deno.test("pieces put together again are the whole, however many there are, and so is their gradient", async () => {
  await using runtime = await Runtime.open("wasm", { threads: 1 });
  const cases = fc.tuple(
    fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 60 }),
    fc.boolean(),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ([sizes, down]) => {
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const axis = down ? 0 : -1;
      const x = filled(down ? [total, 2] : [2, total], 0.4);
      const weights = filled(x.dims, 1.9);
      const results = await run(runtime, { x }, ({ x }) => {
        const pieces = G.split(x!, sizes, axis);
        // Every other piece goes into the loss, so some have no gradient at all.
        const scaled = pieces.map((piece, at) => at % 2 ? G.stopGradient(piece) : piece);
        const whole = G.concat(scaled, axis);
        const loss = G.reduceSum(G.mul(whole, G.constant(toTensor(weights))));
        return { whole: G.add(whole, 0.5), dx: G.gradient(loss, [x!])[0]! };
      });
      const counted = sizes.flatMap((size, at) => Array<number>(size).fill(at % 2 ? 0 : 1));
      const along = (at: number) => down ? at >> 1 : at % total;
      assertNear(results["whole"]!, { ...x, data: x.data.map((item) => item + 0.5) }, "whole");
      const data = weights.data.map((weight, at) => weight * counted[along(at)]!);
      assertNear(results["dx"]!, { ...x, data }, "gradient");
    }),
    RUNS,
  );
});

Deno.test("rows by number come in order, and a row that is taken twice has both gradients", async () => {
  await using runtime = await Runtime.open("wasm", { threads: 1 });
  const cases = dimsOf(1, 3).chain((dims) =>
    fc.nat({ max: dims.length - 1 }).chain((axis) =>
      fc.tuple(
        fc.constant(dims),
        fc.constant(axis),
        fc.array(fc.nat({ max: dims[axis]! - 1 }), { minLength: 1, maxLength: 8 }),
      )
    )
  );
  await fc.assert(
    fc.asyncProperty(cases, async ([dims, axis, rows]) => {
      const x = filled(dims, 0.2);
      const outDims = dims.with(axis, rows.length);
      const weights = filled(outDims, 1.4);
      const results = await run(runtime, { x }, ({ x }) => {
        const indices = G.constant(tensor("int32", [rows.length], Int32Array.from(rows)));
        const y = G.gather(x!, indices, axis);
        const loss = G.reduceSum(G.mul(y, G.constant(toTensor(weights))));
        return { y: G.add(y, 0.5), dx: G.gradient(loss, [x!])[0]! };
      });
      const inner = sizeOf(dims.slice(axis + 1));
      const back = x.data.map(() => 0);
      const y = weights.data.map((weight, at) => {
        const row = rows[Math.floor(at / inner) % rows.length]!;
        const outer = Math.floor(at / (inner * rows.length));
        const from = (outer * dims[axis]! + row) * inner + at % inner;
        back[from]! += weight;
        return x.data[from]! + 0.5;
      });
      assertNear(results["y"]!, { dims: outDims, data: y }, "rows");
      assertNear(results["dx"]!, { dims, data: back }, "gradient");
    }),
    RUNS,
  );
});
