/** Operators that move elements and change none: shapes, pieces, rows by index. */
import { sizeOf } from "../../runtime/mod.ts";
import { axisOf, broadcastDims, equalDims, int64, sameType } from "../shape.ts";
import {
  call,
  callAll,
  constant,
  type Operator,
  shapeError,
  showDims,
  typeError,
  type Value,
} from "../value.ts";
import { inFloat32 } from "./elementwise.ts";

/**
 * The elements of x in another shape. One size may be -1: what is left.
 *
 * @throws FairlError `graph.shape` when the numbers of elements differ
 */
export function reshape(x: Value, dims: readonly number[]): Value {
  const given = dims.filter((dim) => dim !== -1);
  const rest = sizeOf(x.dims) / sizeOf(given);
  // A named size is negative and stays as it is: ONNX's own -1 finds it again.
  const wanted = dims.map((dim) => dim === -1 ? rest : dim);
  const fits = sizeOf(wanted) === sizeOf(x.dims) && wanted.every(Number.isInteger) &&
    equalDims(namedOf(wanted), namedOf(x.dims));
  if (!fits) throw shapeError("Reshape", [x], `its elements do not fill ${showDims(dims)}`);
  if (equalDims(wanted, x.dims)) return x;
  const { source } = x;
  // A reshape of a reshape is one reshape.
  if (source.kind === "node" && source.node.operator === reshaping as Operator) {
    return reshape(source.node.inputs[0]!, wanted);
  }
  return call(reshaping, [x], wanted);
}
const reshaping: Operator<readonly number[]> = {
  name: "Reshape",
  shape: ([x], dims) => ({ type: x!.type, dims }),
  onnx: (dims, [x]) => {
    // ONNX keeps a size where it says 0, and works one out where it says -1.
    const sizes = dims.map((dim, axis) => dim >= 0 ? dim : dim === x!.dims[axis] ? 0 : -1);
    if (sizes.filter((size) => size === -1).length > 1) {
      throw shapeError("Reshape", [x!], `two named sizes of ${showDims(dims)} change their place`);
    }
    return { extra: [int64(sizes)] };
  },
  gradient: ({ x: [x], dy }) => [reshape(dy, x!.dims)],
};

/** The named sizes of a shape, in order of their names. */
function namedOf(dims: readonly number[]): number[] {
  return dims.filter((dim) => dim < 0).sort((a, b) => a - b);
}

/** Takes axes of size 1 away; all of them by default. */
export function squeeze(x: Value, axes?: readonly number[]): Value {
  const gone = axes?.map((axis) => axisOf("Squeeze", x, axis));
  if (gone?.some((axis) => x.dims[axis] !== 1)) {
    throw shapeError("Squeeze", [x], `axes ${axes!.join(", ")} are not all of size 1`);
  }
  return reshape(x, x.dims.filter((dim, axis) => gone ? !gone.includes(axis) : dim !== 1));
}

/** Puts axes of size 1 in; the axes are counted in the result. */
export function unsqueeze(x: Value, axes: readonly number[]): Value {
  const rank = x.rank + axes.length;
  const added = new Set(axes.map((axis) => axis < 0 ? axis + rank : axis));
  const left = [...x.dims];
  return reshape(x, Array.from({ length: rank }, (_, axis) => added.has(axis) ? 1 : left.shift()!));
}

/** x repeated to a shape that it broadcasts to. */
export function expand(x: Value, dims: readonly number[]): Value {
  return equalDims(x.dims, dims) ? x : call(expanding, [x], dims);
}
const expanding: Operator<readonly number[]> = {
  name: "Expand",
  // Like an operator on each element, it broadcasts; its gradient is summed back for it.
  elementwise: true,
  shape: ([x], dims) => {
    if (!equalDims(broadcastDims("Expand", [x!, { type: x!.type, dims }]), dims)) {
      throw shapeError("Expand", [x!], `it does not broadcast to ${showDims(dims)}`);
    }
    return { type: x!.type, dims };
  },
  onnx: (dims, [x]) => {
    const sizes = dims.map((dim, axis) => {
      if (dim >= 0) return dim;
      // Only what has a named size already has one to be repeated to: 1 keeps it.
      if (x!.dims[axis - dims.length + x!.rank] === dim) return 1;
      throw shapeError("Expand", [x!], `axis ${axis} of ${showDims(dims)} is a named size`);
    });
    return { extra: [int64(sizes)] };
  },
  gradient: ({ dy }) => [dy],
};

/** Axes in another order; the last two are exchanged by default. */
export function transpose(x: Value, order?: readonly number[]): Value {
  const axes = x.dims.map((_, axis) => axis);
  const wanted = order ?? [...axes.slice(0, -2), ...axes.slice(-2).reverse()];
  return call(transposing, [x], wanted);
}
const transposing: Operator<readonly number[]> = {
  name: "Transpose",
  shape: ([x], order) => {
    if (!equalDims([...order].sort((a, b) => a - b), x!.dims.map((_, axis) => axis))) {
      throw shapeError("Transpose", [x!], `[${order.join(", ")}] is no order of its axes`);
    }
    return { type: x!.type, dims: order.map((axis) => x!.dims[axis]!) };
  },
  onnx: (order) => ({ attributes: { perm: { ints: order } } }),
  gradient: ({ dy, attributes: order }) => [transpose(dy, order.map((_, at) => order.indexOf(at)))],
};

/** Tensors one after the other along an axis, the first by default. */
export function concat(values: readonly Value[], axis = 0): Value {
  if (values.length === 1) return values[0]!;
  return call(joining, values, axisOf("Concat", values[0]!, axis));
}
const joining: Operator<number> = {
  name: "Concat",
  shape: (values, axis) => {
    const dims = [...values[0]!.dims];
    for (const other of values.slice(1)) {
      const fits = other.rank === dims.length &&
        dims.every((dim, at) => at === axis || dim === other.dims[at]);
      if (!fits) throw shapeError("Concat", values, `they differ beside axis ${axis}`);
      if (dims[axis]! < 0 || other.dims[axis]! < 0) {
        throw shapeError("Concat", values, `axis ${axis} has a named size`);
      }
      dims[axis]! += other.dims[axis]!;
    }
    return { type: sameType("Concat", values), dims };
  },
  onnx: (axis) => ({ attributes: { axis: { int: axis } } }),
  gradient: ({ x, dy, attributes: axis }) => split(dy, x.map(({ dims }) => dims[axis]!), axis),
};

/**
 * A WebGPU kernel binds a buffer for what it reads and for each piece it writes, and every adapter
 * offers at least eight (WebGPU, section 3.6.2). onnxruntime fails beyond the adapter's limit.
 */
const MOST_PIECES = 7;

/**
 * Pieces of x along an axis.
 *
 * @param sizes Size of each piece; they add up to the axis
 */
export function split(x: Value, sizes: readonly number[], axis = 0): readonly Value[] {
  const along = axisOf("Split", x, axis);
  if (sizes.length === 1 && sizes[0] === x.dims[along]) return [x];
  if (sizes.length <= MOST_PIECES) return callAll(splitting, [x], { axis: along, sizes });
  const length = Math.ceil(sizes.length / MOST_PIECES);
  const groups: (readonly number[])[] = [];
  for (let at = 0; at < sizes.length; at += length) groups.push(sizes.slice(at, at + length));
  const total = (group: readonly number[]) => group.reduce((sum, size) => sum + size, 0);
  const parts = split(x, groups.map(total), along);
  return groups.flatMap((group, at) => split(parts[at]!, group, along));
}
const splitting: Operator<{ readonly axis: number; readonly sizes: readonly number[] }> = {
  name: "Split",
  shape: ([x], { axis, sizes }) => {
    if (sizes.reduce((sum, size) => sum + size, 0) !== x!.dims[axis]) {
      throw shapeError("Split", [x!], `${sizes.join(" + ")} is not the size of axis ${axis}`);
    }
    return sizes.map((size) => ({ type: x!.type, dims: x!.dims.with(axis, size) }));
  },
  onnx: ({ axis, sizes }) => ({ attributes: { axis: { int: axis } }, extra: [int64(sizes)] }),
  gradient: ({ x: [x], dys, attributes: { axis, sizes } }) => {
    const zero = constant(0, x!.type);
    return [concat(dys.map((dy, at) => dy ?? expand(zero, x!.dims.with(axis, sizes[at]!))), axis)];
  },
};

/**
 * A block of x.
 *
 * @param starts First index on each of the axes; counted from the end where negative
 * @param ends Index after the last on each
 * @param axes Which axes; the first ones by default
 */
export function slice(
  x: Value,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] = starts.map((_, axis) => axis),
): Value {
  const from = x.dims.map(() => 0);
  const to = [...x.dims];
  axes.forEach((given, at) => {
    const axis = axisOf("Slice", x, given);
    const size = x.dims[axis]!;
    if (size < 0) throw shapeError("Slice", [x], `axis ${axis} has a named size`);
    const place = (index: number) => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
    from[axis] = place(starts[at]!);
    to[axis] = place(ends[at]!);
  });
  return equalDims(to.map((end, axis) => end - from[axis]!), x.dims)
    ? x
    : call(slicing, [x], { from, to });
}
const slicing: Operator<{ readonly from: readonly number[]; readonly to: readonly number[] }> = {
  name: "Slice",
  shape: ([x], { from, to }) => {
    const dims = to.map((end, axis) => end - from[axis]!);
    if (dims.some((dim, axis) => dim <= 0 && x!.dims[axis]! > 0)) {
      throw shapeError("Slice", [x!], `nothing lies from ${showDims(from)} to ${showDims(to)}`);
    }
    return { type: x!.type, dims };
  },
  onnx: ({ from, to }, [x]) => {
    const cut = from.map((_, axis) => axis)
      .filter((axis) => to[axis]! - from[axis]! !== x!.dims[axis]);
    const at = (list: readonly number[]) => int64(cut.map((axis) => list[axis]!));
    return { extra: [at(from), at(to), int64(cut)] };
  },
  gradient: ({ x: [x], dy, attributes: { from, to } }) => [
    pad(dy, from, to.map((end, axis) => x!.dims[axis]! - end)),
  ],
};

/** x with zeros around it. */
export function pad(x: Value, before: readonly number[], after: readonly number[]): Value {
  return inFloat32(x, (x) => call(padding, [x], { before, after }));
}
const padding: Operator<{ readonly before: readonly number[]; readonly after: readonly number[] }> =
  {
    name: "Pad",
    shape: ([x], { before, after }) => ({
      type: x!.type,
      dims: x!.dims.map((dim, axis) => before[axis]! + dim + after[axis]!),
    }),
    onnx: ({ before, after }) => ({ extra: [int64([...before, ...after])] }),
    gradient: ({ x: [x], dy, attributes: { before } }) => [
      slice(dy, before, before.map((start, axis) => start + x!.dims[axis]!)),
    ],
  };

/**
 * Rows of x by their number along an axis, the first by default. Its gradient adds each row back
 * where it came from.
 *
 * @param indices int32 of any shape, which takes the axis's place; each at least 0
 */
export function gather(x: Value, indices: Value, axis = 0): Value {
  return call(gathering, [x, indices], axisOf("Gather", x, axis));
}
const gathering: Operator<number> = {
  name: "Gather",
  shape: ([x, indices], axis) => {
    if (indices!.type !== "int32") throw typeError("Gather", [x!, indices!], "indices are int32");
    return {
      type: x!.type,
      dims: [...x!.dims.slice(0, axis), ...indices!.dims, ...x!.dims.slice(axis + 1)],
    };
  },
  onnx: (axis) => ({ attributes: { axis: { int: axis } } }),
  gradient: ({ x: [x, indices], dy, attributes: axis }) => {
    // One row an index, whatever the shape of the indices, and the index beside each element.
    const rows = [...x!.dims.slice(0, axis), sizeOf(indices!.dims), ...x!.dims.slice(axis + 1)];
    const along = rows.map((size, at) => at === axis ? size : 1);
    const places = expand(reshape(indices!, along), rows);
    const scatter = (dy: Value) =>
      call(scattering, [expand(constant(0, dy.type), x!.dims), places, dy], axis);
    return [inFloat32(reshape(dy, rows), scatter), undefined];
  },
};

/** Adds the third input to the first where the second says. */
const scattering: Operator<number> = {
  name: "ScatterElements",
  shape: ([x]) => ({ type: x!.type, dims: x!.dims }),
  onnx: (axis) => ({ attributes: { axis: { int: axis }, reduction: { text: "add" } } }),
};
