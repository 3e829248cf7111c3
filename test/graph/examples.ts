/** An example for each operator: what it is fed, and the same computation in double precision. */
import * as ops from "../../src/graph/ops/mod.ts";
import { constant, type Value } from "../../src/graph/mod.ts";
import { tensor } from "../../src/runtime/mod.ts";

/** One call of one operator. */
export interface Example {
  readonly op: keyof typeof ops;
  /** What tells it from the other examples of its operator. */
  readonly about?: string;
  readonly dims: readonly (readonly number[])[];
  /** Elements of each input, row-major. */
  readonly inputs: readonly (readonly number[])[];
  readonly apply: (...x: Value[]) => Value;
  readonly reference: (...x: readonly number[][]) => number[];
  /** False where nothing may flow back: then every gradient is zero. */
  readonly flows?: false;
}

const SIGNED = [-1.3, 0.4, 2.1, -0.7, 1.6, -2.2];
const POSITIVE = [0.3, 1.7, 2.4, 0.9, 1.2, 3.1];
const OTHER = [0.8, -1.9, 1.1, 2.3, -0.6, 0.5];
const SHORT = [1.4, -0.5, 0.9];

const sum = (x: readonly number[]) => x.reduce((total, item) => total + item, 0);
const mean = (x: readonly number[]) => sum(x) / x.length;
const rows = (x: readonly number[], width: number) =>
  Array.from({ length: x.length / width }, (_, at) => x.slice(at * width, (at + 1) * width));
const byRow = (width: number, f: (row: number[]) => number[]) => (x: number[]) =>
  rows(x, width).flatMap(f);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const int32 = (dims: readonly number[], ...data: number[]) =>
  constant(tensor("int32", dims, Int32Array.from(data)));

/** erf by its series, which converges fast for the small numbers of the examples. */
function erf(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; n < 60; n++) {
    term *= -x * x / n;
    total += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * total;
}

/** `[m, k]` times `[k, n]`. */
function product(a: readonly number[], b: readonly number[], k: number): number[] {
  const n = b.length / k;
  return rows(a, k).flatMap((row) =>
    Array.from({ length: n }, (_, column) => sum(row.map((item, at) => item * b[at * n + column]!)))
  );
}

/** Exchanges the axes of a matrix of so many columns. */
function flipped(x: readonly number[], width: number): number[] {
  const cut = rows(x, width);
  return cut[0]!.flatMap((_, column) => cut.map((row) => row[column]!));
}

function unary(op: Example["op"], f: (x: number) => number, x = SIGNED): Example {
  return {
    op,
    dims: [[2, 3]],
    inputs: [x],
    apply: ops[op] as (x: Value) => Value,
    reference: (x) => x.map(f),
  };
}

/** The second operand as a row, as a column, and as a scalar. */
function binary(
  op: Example["op"],
  f: (a: number, b: number) => number,
  a = SIGNED,
  b = SHORT,
  flows?: false,
): Example[] {
  const apply = (a: Value, b: Value) =>
    flows === false
      ? ops.cast((ops[op] as ops.Binary)(a, b), "float32")
      : (ops[op] as ops.Binary)(a, b);
  const example = (about: string, dims: number[], b: number[], place: (at: number) => number) => ({
    op,
    about,
    dims: [[2, 3], dims],
    inputs: [a, b],
    apply,
    reference: (a: number[], b: number[]) => a.map((item, at) => f(item, b[place(at)]!)),
    ...(flows === false ? { flows } : {}),
  });
  return [
    example("a row", [3], b, (at) => at % 3),
    example("a column", [2, 1], b.slice(0, 2), (at) => Math.floor(at / 3)),
    example("a scalar", [], b.slice(0, 1), () => 0),
  ];
}

function reduction(op: Example["op"], f: (x: number[]) => number): Example[] {
  const reduce = ops[op] as ops.Reduction;
  const shared = { op, dims: [[2, 3]], inputs: [SIGNED] };
  return [
    { ...shared, about: "all", apply: (x) => reduce(x), reference: (x) => [f(x)] },
    {
      ...shared,
      about: "the last axis",
      apply: (x) => reduce(x, { axes: [-1] }),
      reference: byRow(3, (row) => [f(row)]),
    },
    {
      ...shared,
      about: "the first axis, kept",
      apply: (x) => reduce(x, { axes: [0], keepDims: true }),
      reference: (x) => rows(flipped(x, 3), 2).map(f),
    },
  ];
}

function layout(
  op: Example["op"],
  about: string,
  dims: readonly number[],
  apply: (x: Value) => Value,
  reference: (x: number[]) => number[],
): Example {
  const inputs = [[...SIGNED, ...OTHER].slice(0, dims.reduce((a, b) => a * b, 1))];
  return { op, about, dims: [dims], inputs, apply, reference };
}

const greater = (a: number, b: number) => Number(a > b);
const less = (a: number, b: number) => Number(a < b);
const unit = (row: number[], epsilon: number) => {
  const centre = mean(row);
  const deviation = Math.sqrt(mean(row.map((x) => (x - centre) ** 2)) + epsilon);
  return row.map((x) => (x - centre) / deviation);
};
const softmax = (row: number[]) => {
  const total = sum(row.map(Math.exp));
  return row.map((x) => Math.exp(x) / total);
};
const logSumExp = (row: number[]) => Math.log(sum(row.map(Math.exp)));

/** Every operator at least once. No element lies on a kink. */
export const EXAMPLES: readonly Example[] = [
  unary("neg", (x) => -x),
  unary("exp", Math.exp),
  unary("log", Math.log, POSITIVE),
  unary("sqrt", Math.sqrt, POSITIVE),
  unary("reciprocal", (x) => 1 / x),
  unary("sin", Math.sin),
  unary("cos", Math.cos),
  unary("abs", Math.abs),
  unary("tanh", Math.tanh),
  unary("sigmoid", sigmoid),
  unary("softplus", (x) => Math.log1p(Math.exp(x))),
  unary("relu", (x) => Math.max(x, 0)),
  unary("erf", erf),
  unary("gelu", (x) => x * (1 + erf(x / Math.SQRT2)) / 2),
  unary("silu", (x) => x * sigmoid(x)),

  ...binary("add", (a, b) => a + b),
  ...binary("sub", (a, b) => a - b),
  ...binary("mul", (a, b) => a * b),
  ...binary("div", (a, b) => a / b),
  ...binary("minimum", Math.min),
  ...binary("maximum", Math.max),
  ...binary("pow", Math.pow, POSITIVE),
  ...[-1, 0.5, 1, 2, 3].map((power): Example => ({
    ...unary("pow", (x) => x ** power, POSITIVE),
    about: `the number ${power}`,
    apply: (x) => ops.pow(x, power),
  })),
  ...binary("equal", (a, b) => Number(a === b), SIGNED, [-1.3, 0.5, 2.1], false),
  ...binary("greater", greater, SIGNED, SHORT, false),
  ...binary("less", less, SIGNED, SHORT, false),
  {
    op: "and",
    dims: [[2, 3], [3]],
    inputs: [SIGNED, SHORT],
    apply: (a, b) => ops.cast(ops.and(ops.greater(a, 0), ops.greater(b, 0)), "float32"),
    reference: (a, b) => a.map((item, at) => Number(item > 0 && b[at % 3]! > 0)),
    flows: false,
  },
  {
    ...unary("not", (x) => less(x, 0)),
    apply: (x) => ops.cast(ops.not(ops.greater(x, 0)), "float32"),
    flows: false,
  },
  {
    op: "where",
    dims: [[2, 3], [3], [2, 1]],
    inputs: [SIGNED, SHORT, [4, 5]],
    apply: (c, a, b) => ops.where(ops.greater(c, 0), a, b),
    reference: (c, a, b) => c.map((x, at) => x > 0 ? a[at % 3]! : b[Math.floor(at / 3)]!),
  },
  {
    ...unary("clip", (x) => Math.min(Math.max(x, -1), 1.5)),
    apply: (x) => ops.clip(x, -1, 1.5),
  },
  {
    ...unary("cast", Math.trunc),
    about: "to int32 and back",
    apply: (x) => ops.cast(ops.cast(x, "int32"), "float32"),
    flows: false,
  },
  { ...unary("stopGradient", (x) => x), apply: ops.stopGradient, flows: false },

  layout("reshape", "", [2, 3], (x) => ops.reshape(x, [3, -1]), (x) => x),
  layout("reshape", "twice", [2, 3], (x) => ops.reshape(ops.reshape(x, [6]), [3, 2]), (x) => x),
  layout("squeeze", "", [1, 3, 1], (x) => ops.squeeze(x, [-1]), (x) => x),
  layout("unsqueeze", "", [2, 3], (x) => ops.unsqueeze(x, [0, -1]), (x) => x),
  layout(
    "expand",
    "",
    [2, 1],
    (x) => ops.expand(x, [2, 2, 3]),
    ([a, b]) => [a, a, a, b, b, b, a, a, a, b, b, b] as number[],
  ),
  layout("transpose", "the last two", [2, 3], (x) => ops.transpose(x), (x) => flipped(x, 3)),
  layout(
    "transpose",
    "in a circle",
    [2, 3, 2],
    (x) => ops.transpose(x, [1, 2, 0]),
    // Elements [a, b, c] go to [b, c, a]: the first axis against the two others as one.
    (x) => flipped(x, 6),
  ),
  {
    op: "concat",
    dims: [[2, 3], [2, 1]],
    inputs: [SIGNED, [4, 5]],
    apply: (a, b) => ops.concat([a, b], 1),
    reference: (a, b) => [...a.slice(0, 3), b[0]!, ...a.slice(3), b[1]!],
  },
  layout("split", "each piece", [4, 3], (x) => {
    const [first, second] = ops.split(x, [1, 3]);
    return ops.concat([ops.mul(second!, 2), first!]);
  }, (x) => [...x.slice(3).map((item) => 2 * item), ...x.slice(0, 3)]),
  layout("split", "one piece of three", [2, 3], (x) => ops.split(x, [1, 1, 1], 1)[1]!, (x) => [
    x[1]!,
    x[4]!,
  ]),
  layout("slice", "", [3, 4], (x) => ops.slice(x, [1, -3], [3, -1]), (x) => [
    ...x.slice(5, 7),
    ...x.slice(9, 11),
  ]),
  layout(
    "slice",
    "of one axis",
    [3, 4],
    (x) => ops.slice(x, [2], [9], [1]),
    (x) => rows(x, 4).flatMap((row) => row.slice(2)),
  ),
  layout(
    "slice",
    "from before the start",
    [3, 2],
    (x) => ops.slice(x, [-9], [2]),
    (x) => x.slice(0, 4),
  ),
  layout("pad", "", [2, 3], (x) => ops.pad(x, [0, 1], [1, 0]), (x) => [
    ...[0, ...x.slice(0, 3)],
    ...[0, ...x.slice(3)],
    ...[0, 0, 0, 0],
  ]),
  layout(
    "gather",
    "rows, one of them twice",
    [4, 3],
    (x) => ops.gather(x, int32([3], 2, 0, 2)),
    (x) => [2, 0, 2].flatMap((row) => rows(x, 3)[row]!),
  ),
  layout("gather", "one row", [4, 3], (x) => ops.gather(x, int32([], 1)), (x) => rows(x, 3)[1]!),
  layout(
    "gather",
    "columns by a matrix",
    [2, 3],
    (x) => ops.gather(x, int32([2, 2], 2, 0, 1, 1), 1),
    byRow(3, (row) => [2, 0, 1, 1].map((at) => row[at]!)),
  ),

  ...[[false, false], [false, true], [true, false], [true, true]].map(
    ([transA, transB]): Example => ({
      op: "gemm",
      about: `transposed ${transA}, ${transB}`,
      dims: [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4]],
      inputs: [SIGNED, [...OTHER, ...POSITIVE]],
      apply: (a, b) => ops.gemm(a, b, { transA: transA!, transB: transB! }),
      reference: (a, b) => product(transA ? flipped(a, 2) : a, transB ? flipped(b, 3) : b, 3),
    }),
  ),
  ...[false, true].map((transA): Example => ({
    op: "gemm",
    about: `with a column, transposed ${transA}`,
    dims: [transA ? [3, 2] : [2, 3], [3, 1]],
    inputs: [SIGNED, SHORT],
    apply: (a, b) => ops.gemm(a, b, { transA }),
    reference: (a, b) => product(transA ? flipped(a, 2) : a, b, 3),
  })),
  {
    op: "matmul",
    about: "rows of a batch",
    dims: [[2, 2, 3], [3, 2]],
    inputs: [[...SIGNED, ...OTHER], POSITIVE],
    apply: ops.matmul,
    reference: (a, b) => product(a, b, 3),
  },
  {
    op: "matmul",
    about: "two batches",
    dims: [[2, 2, 3], [2, 3, 1]],
    inputs: [[...SIGNED, ...OTHER], POSITIVE],
    apply: ops.matmul,
    reference: (a, b) => [
      ...product(a.slice(0, 6), b.slice(0, 3), 3),
      ...product(a.slice(6), b.slice(3), 3),
    ],
  },
  {
    op: "matmul",
    about: "a batch that is broadcast",
    dims: [[2, 3], [2, 3, 1]],
    inputs: [SIGNED, POSITIVE],
    apply: ops.matmul,
    reference: (a, b) => [...product(a, b.slice(0, 3), 3), ...product(a, b.slice(3), 3)],
  },
  {
    op: "matmul",
    about: "two vectors",
    dims: [[3], [3]],
    inputs: [SHORT, SIGNED.slice(0, 3)],
    apply: ops.matmul,
    reference: (a, b) => product(a, b, 3),
  },
  {
    op: "matmul",
    about: "a vector and a matrix",
    dims: [[3], [3, 2]],
    inputs: [SHORT, SIGNED],
    apply: ops.matmul,
    reference: (a, b) => product(a, b, 3),
  },

  ...reduction("reduceSum", sum),
  ...reduction("reduceMean", mean),
  ...reduction("reduceMax", (x) => Math.max(...x)),
  ...reduction("reduceL2", (x) => Math.hypot(...x)),
  ...reduction("logSumExp", logSumExp),

  layout("softmax", "", [2, 3], (x) => ops.softmax(x), byRow(3, softmax)),
  layout(
    "softmax",
    "of columns",
    [2, 3],
    (x) => ops.softmax(x, 0),
    (x) => flipped(rows(flipped(x, 3), 2).flatMap(softmax), 2),
  ),
  layout(
    "logSoftmax",
    "",
    [2, 3],
    (x) => ops.logSoftmax(x),
    byRow(3, (row) => row.map((x) => x - logSumExp(row))),
  ),
  {
    op: "layerNorm",
    dims: [[2, 2, 3], [3], [3]],
    inputs: [[...SIGNED, ...OTHER], SHORT, [0.2, -0.1, 0.6]],
    apply: (x, scale, shift) => ops.layerNorm(x, scale, shift),
    reference: (x, scale, shift) =>
      byRow(3, (row) => unit(row, 1e-5).map((u, at) => u * scale[at]! + shift[at]!))(x),
  },
  {
    op: "rmsNorm",
    dims: [[2, 3], [3]],
    inputs: [SIGNED, SHORT],
    apply: (x, scale) => ops.rmsNorm(x, scale),
    reference: (x, scale) =>
      byRow(3, (row) => {
        const root = Math.sqrt(mean(row.map((item) => item * item)) + 1e-6);
        return row.map((item, at) => item / root * scale[at]!);
      })(x),
  },
];
