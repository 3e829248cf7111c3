/** Operators that take axes away. */
import { sizeOf } from "../../runtime/mod.ts";
import { axesOf, int64, needFloat } from "../shape.ts";
import { call, type Operator, type Value } from "../value.ts";
import { cast, div, equal, exp, log, mul, sub } from "./elementwise.ts";
import { add, maximum, stopGradient } from "./elementwise.ts";
import { reshape } from "./layout.ts";

/** Which axes a reduction takes away, and whether they stay as size 1. */
export interface ReduceOptions {
  /** Axes, counted from the end where negative; all by default. */
  axes?: readonly number[];
  /** Keeps each reduced axis with size 1. False by default. */
  keepDims?: boolean;
}
/** A reduction over some axes. */
export type Reduction = (x: Value, options?: ReduceOptions) => Value;

interface Attributes {
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

function keptDims({ dims }: Value, axes: readonly number[]): number[] {
  return dims.map((dim, axis) => axes.includes(axis) ? 1 : dim);
}

/** `gradient` is given output and output gradient with the reduced axes kept as size 1. */
function reduction(
  name: string,
  gradient: (call: { x: Value; y: Value; dy: Value; axes: readonly number[] }) => Value,
): Reduction {
  const operator: Operator<Attributes> = {
    name,
    shape: ([x], { axes, keepDims }) => {
      needFloat(name, [x!]);
      const dims = keepDims
        ? keptDims(x!, axes)
        : x!.dims.filter((_, axis) => !axes.includes(axis));
      return { type: x!.type, dims };
    },
    onnx: ({ axes, keepDims }) => ({
      attributes: { keepdims: { int: keepDims ? 1 : 0 } },
      extra: [int64(axes)],
    }),
    gradient: ({ x: [x], y, dy, attributes: { axes } }) => {
      // A scalar is broadcast as it is; anything else gets its axes back first.
      const kept = (value: Value) => value.rank ? reshape(value, keptDims(x!, axes)) : value;
      return [gradient({ x: x!, y: kept(y), dy: kept(dy), axes })];
    },
  };
  return (x, { axes, keepDims = false } = {}) => {
    const found = axesOf(name, x, axes);
    // Over no axis, ONNX would reduce over all.
    return found.length || !x.rank ? call(operator, [x], { axes: found, keepDims }) : x;
  };
}

/** Sum over axes. */
export const reduceSum: Reduction = reduction("ReduceSum", ({ dy }) => dy);
/** Mean over axes. */
export const reduceMean: Reduction = reduction(
  "ReduceMean",
  ({ x, dy, axes }) => mul(dy, 1 / sizeOf(axes.map((axis) => x.dims[axis]!))),
);
/** Largest element over axes; ties share the gradient equally. */
export const reduceMax: Reduction = reduction("ReduceMax", ({ x, y, dy, axes }) => {
  const hit = cast(equal(x, y), x.type);
  return mul(dy, div(hit, reduceSum(hit, { axes, keepDims: true })));
});
/** Euclidean norm over axes; its gradient at 0 is 0. */
export const reduceL2: Reduction = reduction(
  "ReduceL2",
  ({ x, y, dy }) => mul(dy, div(x, maximum(y, x.type === "float16" ? 1e-7 : 1e-30))),
);

/**
 * log(sum(exp(x))) over axes, without overflow. Written out, because not every device's
 * ReduceLogSumExp takes the largest element out first.
 */
export function logSumExp(x: Value, options: ReduceOptions = {}): Value {
  const { axes, keepDims = false } = options;
  const largest = stopGradient(reduceMax(x, axes ? { axes, keepDims: true } : { keepDims: true }));
  const sum = reduceSum(exp(sub(x, largest)), axes ? { axes, keepDims: true } : { keepDims: true });
  const whole = add(log(sum), largest);
  if (keepDims) return whole;
  const gone = axesOf("logSumExp", x, axes);
  return reshape(whole, x.dims.filter((_, axis) => !gone.includes(axis)));
}
