/** Matrix products, activations and normalisations. */
import { sizeOf } from "../../runtime/mod.ts";
import { axisOf, broadcastDims, needFloat, sameType } from "../shape.ts";
import { call, type Operator, shapeError, type Value } from "../value.ts";
import { add, div, erf, exp, mul, sigmoid, sqrt, sub } from "./elementwise.ts";
import { reshape, transpose } from "./layout.ts";
import { logSumExp, reduceMean, reduceSum } from "./reductions.ts";

/** Which operands of a product are used transposed. */
export interface GemmOptions {
  /** The first is given as `[k, m]`. */
  transA?: boolean;
  /** The second is given as `[n, k]`. */
  transB?: boolean;
}

/**
 * Product of two matrices, `[m, k]` and `[k, n]`, without a copy for either transposition.
 *
 * A product with a column vector is written as one with a row vector: onnxruntime's wasm kernel
 * runs it three times as fast.
 */
export function gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
  const { transA = false, transB = false } = options;
  const rows = a.dims[transA ? 1 : 0];
  const columns = b.dims[transB ? 0 : 1];
  if (columns !== 1 || rows === 1) return call(product, [a, b], { transA, transB });
  const row = reshape(b, [1, sizeOf(b.dims)]);
  return reshape(call(product, [row, a], { transA: false, transB: !transA }), [rows!, 1]);
}
const product: Operator<Required<GemmOptions>> = {
  name: "Gemm",
  shape: (inputs, { transA, transB }) => {
    const [a, b] = inputs as [Value, Value];
    needFloat("Gemm", inputs);
    if (a.rank !== 2 || b.rank !== 2) throw shapeError("Gemm", inputs, "it takes two matrices");
    const [m, k] = transA ? [a.dims[1]!, a.dims[0]!] : [a.dims[0]!, a.dims[1]!];
    const [other, n] = transB ? [b.dims[1]!, b.dims[0]!] : [b.dims[0]!, b.dims[1]!];
    if (k !== other) throw shapeError("Gemm", inputs, `inner sizes ${k} and ${other} differ`);
    return { type: sameType("Gemm", inputs), dims: [m, n] };
  },
  onnx: ({ transA, transB }) => ({
    attributes: { transA: { int: transA ? 1 : 0 }, transB: { int: transB ? 1 : 0 } },
  }),
  gradient: ({ x: [a, b], dy, attributes: { transA, transB } }) => [
    transA ? gemm(b!, dy, { transA: transB, transB: true }) : gemm(dy, b!, { transB: !transB }),
    transB ? gemm(dy, a!, { transA: true, transB: transA }) : gemm(a!, dy, { transA: !transA }),
  ],
};

/**
 * Matrix product as numpy has it: of the last two axes, the others broadcast; a vector counts as
 * a row on the left and as a column on the right.
 *
 * @throws FairlError `graph.shape` when the inner sizes differ
 */
export function matmul(a: Value, b: Value): Value {
  if (a.rank === 0 || b.rank === 0) throw shapeError("MatMul", [a, b], "a scalar is no matrix");
  if (a.rank === 1) {
    const whole = matmul(reshape(a, [1, a.dims[0]!]), b);
    return reshape(whole, whole.dims.toSpliced(Math.max(whole.rank - 2, 0), 1));
  }
  if (b.rank === 1) {
    return reshape(matmul(a, reshape(b, [b.dims[0]!, 1])), a.dims.slice(0, -1));
  }
  // One matrix on the right: all rows on the left in a single product, if they can be counted.
  if (b.rank === 2 && (a.rank === 2 || a.dims.filter((dim) => dim < 0).length < 2)) {
    const inner = a.dims.at(-1)!;
    if (inner !== b.dims[0]) throw shapeError("MatMul", [a, b], "the inner sizes differ");
    const rows = a.rank === 2 ? a : reshape(a, [sizeOf(a.dims) / inner, inner]);
    return reshape(gemm(rows, b), [...a.dims.slice(0, -1), b.dims[1]!]);
  }
  return call(batched, [a, b], null);
}
const batched: Operator<null> = {
  name: "MatMul",
  // Batch axes are broadcast, so the gradient is summed back over them.
  shape: (inputs) => {
    const [a, b] = inputs as [Value, Value];
    needFloat("MatMul", inputs);
    if (a.dims.at(-1) !== b.dims.at(-2)) {
      throw shapeError("MatMul", inputs, "the inner sizes differ");
    }
    const outer = ({ type, dims }: Value) => ({ type, dims: dims.slice(0, -2) });
    const batch = broadcastDims("MatMul", [outer(a), outer(b)]);
    return {
      type: sameType("MatMul", inputs),
      dims: [...batch, a.dims.at(-2)!, b.dims.at(-1)!],
    };
  },
  gradient: ({ x: [a, b], dy }) => [
    summedTo(call(batched, [dy, transpose(b!)], null), a!),
    summedTo(call(batched, [transpose(a!), dy], null), b!),
  ],
};

/** A gradient of a broadcast batch, summed to the operand it is for. */
function summedTo(gradient: Value, { dims }: Value): Value {
  const missing = gradient.rank - dims.length;
  const axes = gradient.dims.flatMap((dim, axis) =>
    axis < missing || (dims[axis - missing] === 1 && dim !== 1) ? [axis] : []
  );
  return axes.length ? reshape(reduceSum(gradient, { axes, keepDims: true }), dims) : gradient;
}

/** x Phi(x), with the normal distribution function itself and not its tanh approximation. */
export function gelu(x: Value): Value {
  return call(gaussian, [x], null);
}
const gaussian: Operator<null> = {
  name: "Gelu",
  elementwise: true,
  shape: ([x]) => {
    needFloat("Gelu", [x!]);
    return { type: x!.type, dims: x!.dims };
  },
  gradient: ({ x, dy }) => {
    const z = x[0]!;
    const below = mul(add(erf(mul(z, Math.SQRT1_2)), 1), 0.5);
    const density = mul(exp(mul(mul(z, z), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return [mul(dy, add(below, mul(z, density)))];
  },
};

/** x sigmoid(x). */
export function silu(x: Value): Value {
  return mul(x, sigmoid(x));
}

/** exp(x) / sum(exp(x)) along an axis, the last by default. */
export function softmax(x: Value, axis = -1): Value {
  return call(normalising, [x], axisOf("Softmax", x, axis));
}
const normalising: Operator<number> = {
  name: "Softmax",
  shape: ([x]) => {
    needFloat("Softmax", [x!]);
    return { type: x!.type, dims: x!.dims };
  },
  onnx: (axis) => ({ attributes: { axis: { int: axis } } }),
  gradient: ({ y, dy, attributes: axis }) => {
    const weighted = mul(dy, y);
    return [sub(weighted, mul(y, reduceSum(weighted, { axes: [axis], keepDims: true })))];
  },
};

/** log(softmax(x)) along an axis, the last by default. ONNX's own is not placed on WebGPU. */
export function logSoftmax(x: Value, axis = -1): Value {
  return sub(x, logSumExp(x, { axes: [axis], keepDims: true }));
}

/**
 * Layer normalisation of the last axis (Ba et al. 2016), scaled and shifted.
 *
 * @param scale `[d]`, d being the last size of x
 * @param shift `[d]`
 */
export function layerNorm(x: Value, scale: Value, shift: Value, epsilon = 1e-5): Value {
  return call(centring, [x, scale, shift], epsilon);
}
const centring: Operator<number> = {
  name: "LayerNormalization",
  shape: (inputs) => {
    const [x, scale, shift] = inputs as [Value, Value, Value];
    needFloat("LayerNorm", inputs);
    const size = x.dims.at(-1);
    if (scale.rank !== 1 || shift.rank !== 1 || scale.dims[0] !== size || shift.dims[0] !== size) {
      throw shapeError("LayerNorm", inputs, "scale and shift must be as long as the last axis");
    }
    return { type: sameType("LayerNorm", inputs), dims: x.dims };
  },
  onnx: (epsilon) => ({ attributes: { axis: { int: -1 }, epsilon: { float: epsilon } } }),
  gradient: ({ x: [x, scale], dy, attributes: epsilon }) => {
    const mean = (value: Value) => reduceMean(value, { axes: [-1], keepDims: true });
    const centred = sub(x!, mean(x!));
    const deviation = sqrt(add(mean(mul(centred, centred)), epsilon));
    const unit = div(centred, deviation);
    const inner = mul(dy, scale!);
    const slope = sub(sub(inner, mean(inner)), mul(unit, mean(mul(inner, unit))));
    const outer = { axes: x!.dims.slice(0, -1).map((_, axis) => axis) };
    return [div(slope, deviation), reduceSum(mul(dy, unit), outer), reduceSum(dy, outer)];
  },
};

/**
 * Normalisation of the last axis by its root mean square (Zhang and Sennrich 2019).
 *
 * @param scale `[d]`, d being the last size of x
 */
export function rmsNorm(x: Value, scale: Value, epsilon = 1e-6): Value {
  const square = reduceMean(mul(x, x), { axes: [-1], keepDims: true });
  return mul(div(x, sqrt(add(square, epsilon))), scale);
}
