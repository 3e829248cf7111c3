/** Shape rules that operators share. */
import { type Shape, shapeError, typeError, type Value } from "./value.ts";

/** Whether gradients flow through values of this type. */
export function isFloat({ type }: Shape): boolean {
  return type === "float32" || type === "float16";
}

/**
 * The shape that several shapes broadcast to (numpy's rule).
 *
 * @throws FairlError `graph.shape` when they do not broadcast
 */
export function broadcastDims(operator: string, inputs: readonly Shape[]): number[] {
  const rank = Math.max(...inputs.map(({ dims }) => dims.length));
  return Array.from({ length: rank }, (_, axis) => {
    let size = 1;
    for (const { dims } of inputs) {
      const own = dims[axis - rank + dims.length] ?? 1;
      if (own === 1 || own === size) continue;
      if (size !== 1) {
        throw shapeError(operator, inputs, `axis ${axis - rank} has both ${size} and ${own}`);
      }
      size = own;
    }
    return size;
  });
}

/** The type that all inputs have. */
export function sameType(operator: string, inputs: readonly Shape[]): Shape["type"] {
  const { type } = inputs[0]!;
  if (inputs.some((one) => one.type !== type)) {
    throw typeError(operator, inputs, "the types differ; cast() one of them");
  }
  return type;
}

/** Refuses inputs that are not of a float type. */
export function needFloat(operator: string, inputs: readonly Shape[]): void {
  if (!inputs.every(isFloat)) throw typeError(operator, inputs, "it takes float32 or float16");
}

/** An axis counted from the front, given one that may be counted from the end. */
export function axisOf(operator: string, value: Shape, axis: number): number {
  const rank = value.dims.length;
  const found = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || found < 0 || found >= rank) {
    throw shapeError(operator, [value], `there is no axis ${axis}`);
  }
  return found;
}

/** Axes counted from the front in rising order; all of them by default. */
export function axesOf(operator: string, value: Value, axes?: readonly number[]): number[] {
  if (!axes) return value.dims.map((_, axis) => axis);
  return axes.map((axis) => axisOf(operator, value, axis)).sort((a, b) => a - b);
}

/** Sizes as the int64 tensor that ONNX wants. */
export function int64(values: readonly number[]): {
  type: "int64";
  dims: readonly number[];
  data: BigInt64Array<ArrayBuffer>;
} {
  return {
    type: "int64",
    dims: [values.length],
    data: BigInt64Array.from(values, (value) => BigInt(value)),
  };
}

/** Whether two shapes are the same. */
export function equalDims(first: readonly number[], second: readonly number[]): boolean {
  return first.length === second.length && first.every((dim, axis) => dim === second[axis]);
}
