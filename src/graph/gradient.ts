/** Reverse-mode differentiation: gradients as further symbolic tensors. */
import { FairlError } from "../base/mod.ts";
import { add, mul } from "./ops/elementwise.ts";
import { expand, reshape } from "./ops/layout.ts";
import { reduceSum } from "./ops/reductions.ts";
import { equalDims, isFloat } from "./shape.ts";
import { constant, type Node, shapeError, type Value } from "./value.ts";

/**
 * The gradient of a scalar with respect to some values.
 *
 * Only what lies between the two is differentiated: nothing is computed for constants, inputs or
 * whatever else does not depend on `wrt`.
 *
 * @param output A scalar
 * @param wrt What to differentiate by
 * @param seed Gradient of the output itself; 1 by default
 * @returns one gradient for each of `wrt`, of the same shape; zeros where the output does not
 * depend on it
 * @throws FairlError `graph.shape` when the output is no scalar, or a size on the way is named
 * @throws FairlError `graph.gradient` when an operator on the way has no gradient
 *
 * @example d(x²)/dx = 2 x
 * ```ts
 * import { assert } from "@std/assert";
 * import { gradient } from "./gradient.ts";
 * import { Program } from "./program.ts";
 * import { mul, reduceSum } from "./ops/mod.ts";
 * import { Runtime, tensor } from "../runtime/mod.ts";
 *
 * await using runtime = await Runtime.open("wasm");
 * const program = await Program.open(runtime, {
 *   inputs: { x: { type: "float32", dims: [2] } },
 *   outputs: ({ inputs: { x } }) => ({ slope: gradient(reduceSum(mul(x!, x!)), [x!])[0]! }),
 * });
 * const { slope } = await program.run({ x: tensor("float32", [2], Float32Array.of(3, -1)) });
 * assert(slope!.data.join() === "6,-2");
 * await program.dispose();
 * ```
 */
export function gradient(
  output: Value,
  wrt: readonly Value[],
  seed: Value = constant(1, output.type),
): Value[] {
  if (output.rank !== 0) throw shapeError("gradient", [output], "only a scalar has one");
  const nodes = dependents(output, wrt);
  const found = new Map<Value, Value>([[output, seed]]);
  for (const node of nodes.reverse()) {
    const { operator, inputs, outputs, attributes } = node;
    const dys = outputs.map((y) => {
      const dy = found.get(y);
      return dy && !operator.elementwise ? expand(dy, y.dims) : dy;
    });
    if (dys.every((dy) => dy === undefined)) continue;
    const [y, dy] = [outputs[0]!, dys[0]!];
    const gradients = operator.gradient!({ x: inputs, y, dy, dys, attributes });
    gradients.forEach((part, at) => {
      if (!part) return;
      const x = inputs[at]!;
      const own = operator.elementwise ? fitted(part, y, x) : part;
      const sum = found.get(x);
      found.set(x, sum ? add(sum, own) : own);
    });
  }
  return wrt.map((x) => expand(found.get(x) ?? constant(0, x.type), x.dims));
}

/** The nodes through which the output depends on some of `wrt`, each after those it reads. */
function dependents(output: Value, wrt: readonly Value[]): Node[] {
  const wanted = new Set(wrt);
  const reaches = new Map<Node, boolean>();
  const order: Node[] = [];
  const visit = (value: Value): boolean => {
    if (wanted.has(value)) return true;
    if (value.source.kind !== "node" || !isFloat(value)) return false;
    const { node } = value.source;
    const known = reaches.get(node);
    if (known !== undefined) return known;
    const { operator, inputs } = node;
    const below = inputs.map(visit).includes(true);
    // No gradient goes through stopGradient() or a comparison; another operator ought to have one.
    const through = below && operator.gradient !== undefined;
    if (below && !through && operator.name !== "Identity") {
      throw new FairlError("graph.gradient", `${operator.name} has no gradient`);
    }
    if (through && inputs.some(({ dims }) => dims.some((dim) => dim < 0))) {
      throw shapeError(operator.name, inputs, "a gradient needs sizes that are not named");
    }
    reaches.set(node, through);
    if (through) order.push(node);
    return through;
  };
  visit(output);
  return order;
}

/**
 * A gradient made for a broadcast output, summed to the input it is for. It may itself still have
 * to be broadcast: then the sum over an axis is a product with its size.
 */
function fitted(part: Value, y: Value, x: Value): Value {
  const front = (dims: readonly number[]) => [...Array(y.rank - dims.length).fill(1), ...dims];
  const [have, want] = [front(part.dims), front(x.dims)];
  const axes: number[] = [];
  let times = 1;
  y.dims.forEach((size, axis) => {
    if (want[axis] !== 1 || size === 1) return;
    if (have[axis] === 1) times *= size;
    else axes.push(axis);
  });
  let result = part;
  if (axes.length) {
    result = reduceSum(reshape(result, have), { axes, keepDims: true });
  }
  if (times > 1) result = mul(result, times);
  // What is left in front of x's own axes is of size 1.
  const own = front(result.dims).slice(y.rank - x.rank);
  return equalDims(result.dims, own) || result.rank <= x.rank ? result : reshape(result, own);
}
