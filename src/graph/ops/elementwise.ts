/** Operators that work on each element by itself, with numpy's broadcasting. */
import type { ElementType } from "../../runtime/mod.ts";
import { typeCode } from "../onnx.ts";
import { broadcastDims, isFloat, needFloat, sameType } from "../shape.ts";
import {
  call,
  constant,
  type GradientCall,
  numberOf,
  type Operand,
  operands,
  type Operator,
  typeError,
  type Value,
} from "../value.ts";

/** A function of one tensor that keeps its shape. */
export type Unary = (x: Operand) => Value;
/** A function of two tensors that are broadcast to each other. */
export type Binary = (a: Operand, b: Operand) => Value;

function unary(
  name: string,
  gradient: (call: { x: Value; y: Value; dy: Value }) => Value,
): Unary {
  const operator: Operator<null> = {
    name,
    elementwise: true,
    shape: ([x]) => {
      needFloat(name, [x!]);
      return { type: x!.type, dims: x!.dims };
    },
    gradient: ({ x, y, dy }) => [gradient({ x: x[0]!, y, dy })],
  };
  return (x) => call(operator, operands(x), null);
}

function binary(
  name: string,
  fold: (a: number, b: number) => number,
  gradient: (call: { a: Value; b: Value; y: Value; dy: Value }) => [Value, Value],
  /** The second operand that leaves the first as it is. */
  neutral?: number,
): Binary {
  const operator: Operator<null> = {
    name,
    elementwise: true,
    shape: (inputs) => ({
      type: sameType(name, inputs),
      dims: broadcastDims(name, inputs),
    }),
    gradient: ({ x: [a, b], y, dy }: GradientCall<null>) => gradient({ a: a!, b: b!, y, dy }),
  };
  return (first, second) => {
    const [a, b] = operands(first, second) as [Value, Value];
    const [left, right] = [numberOf(a), numberOf(b)];
    if (a.type === b.type && isFloat(a)) {
      if (left !== undefined && right !== undefined) return constant(fold(left, right), a.type);
      if (right !== undefined && right === neutral) return a;
    }
    return call(operator, [a, b], null);
  };
}

/** -x. */
export const neg: Unary = unary("Neg", ({ dy }) => neg(dy));
/** e to the power x. */
export const exp: Unary = unary("Exp", ({ y, dy }) => mul(dy, y));
/** Natural logarithm. */
export const log: Unary = unary("Log", ({ x, dy }) => div(dy, x));
/** Square root. */
export const sqrt: Unary = unary("Sqrt", ({ y, dy }) => div(mul(dy, 0.5), y));
/** 1 / x. */
export const reciprocal: Unary = unary("Reciprocal", ({ y, dy }) => neg(mul(dy, mul(y, y))));
/** Sine of an angle in radians. */
export const sin: Unary = unary("Sin", ({ x, dy }) => mul(dy, cos(x)));
/** Cosine of an angle in radians. */
export const cos: Unary = unary("Cos", ({ x, dy }) => neg(mul(dy, sin(x))));
/** |x|; its gradient at 0 is 0. ONNX's Sign is not placed on WebGPU, hence the comparisons. */
export const abs: Unary = unary(
  "Abs",
  ({ x, dy }) => mul(dy, sub(cast(greater(x, 0), x.type), cast(less(x, 0), x.type))),
);
/** Hyperbolic tangent. */
export const tanh: Unary = unary("Tanh", ({ y, dy }) => mul(dy, sub(1, mul(y, y))));
/** 1 / (1 + exp(-x)). */
export const sigmoid: Unary = unary("Sigmoid", ({ y, dy }) => mul(dy, mul(y, sub(1, y))));
/** log(1 + exp(x)). `-log sigmoid(x)` is `softplus(neg(x))`. */
export const softplus: Unary = unary("Softplus", ({ x, dy }) => mul(dy, sigmoid(x)));
/** max(x, 0); its gradient at 0 is 0. */
export const relu: Unary = unary("Relu", ({ x, dy }) => where(greater(x, 0), dy, 0));
/** Gauss's error function. */
export const erf: Unary = unary(
  "Erf",
  ({ x, dy }) => mul(dy, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x))))),
);

/** a + b. */
export const add: Binary = commutative(
  binary("Add", (a, b) => a + b, ({ dy }) => [dy, dy], 0),
);
/** a - b. */
export const sub: Binary = binary("Sub", (a, b) => a - b, ({ dy }) => [dy, neg(dy)], 0);
/** a times b, element by element. */
export const mul: Binary = commutative(
  binary("Mul", (a, b) => a * b, ({ a, b, dy }) => [mul(dy, b), mul(dy, a)], 1),
);
/** a / b. */
export const div: Binary = binary(
  "Div",
  (a, b) => a / b,
  ({ b, y, dy }) => [div(dy, b), neg(mul(div(dy, b), y))],
  1,
);
/** The smaller of a and b; a tie's gradient goes to a. */
export const minimum: Binary = binary(
  "Min",
  Math.min,
  ({ a, b, dy }) => [where(greater(a, b), 0, dy), where(greater(a, b), dy, 0)],
);
/** The larger of a and b; a tie's gradient goes to a. */
export const maximum: Binary = binary(
  "Max",
  Math.max,
  ({ a, b, dy }) => [where(less(a, b), 0, dy), where(less(a, b), dy, 0)],
);
const power: Binary = binary("Pow", Math.pow, ({ a, b, y, dy }) => [
  mul(dy, mul(b, pow(a, sub(b, 1)))),
  mul(dy, mul(y, log(a))),
]);

/** a to the power b. The gradient for b needs a > 0. */
export function pow(a: Operand, b: Operand): Value {
  if (typeof b === "number" && typeof a !== "number") {
    if (b === 2) return mul(a, a);
    if (b === 1) return a;
    if (b === 0.5) return sqrt(a);
    if (b === -1) return reciprocal(a);
  }
  return power(a, b);
}

/** Puts a number behind the other operand, so that the rule for a neutral one finds it there. */
function commutative(operation: Binary): Binary {
  return (a, b) => {
    const first = typeof a === "number" || numberOf(a) !== undefined;
    return first && typeof b !== "number" ? operation(b, a) : operation(a, b);
  };
}

/** x kept within [low, high]; the gradient is 0 outside. */
export function clip(x: Value, low: number, high: number): Value {
  return inFloat32(x, (x) => call(clipping, [x, constant(low), constant(high)], null));
}
const clipping: Operator<null> = {
  name: "Clip",
  elementwise: true,
  shape: ([x]) => {
    needFloat("Clip", [x!]);
    return { type: x!.type, dims: x!.dims };
  },
  gradient: ({ x: [x], y, dy }) => [where(equal(x!, y), dy, 0), undefined, undefined],
};

function comparison(name: string, takes: (x: Value) => boolean, types: string): Binary {
  const operator: Operator<null> = {
    name,
    shape: (inputs) => {
      sameType(name, inputs);
      if (!inputs.every(takes)) throw typeError(name, inputs, `it takes ${types}`);
      return { type: "bool", dims: broadcastDims(name, inputs) };
    },
  };
  return (a, b) => call(operator, operands(a, b), null);
}
// int64 would be compared on the CPU, away from WebGPU.
const isOrdered = (x: Value) => isFloat(x) || x.type === "int32";
/** a == b, of floats or int32. */
export const equal: Binary = comparison("Equal", isOrdered, "floats or int32");
/** a > b, of floats or int32. */
export const greater: Binary = comparison("Greater", isOrdered, "floats or int32");
/** a < b, of floats or int32. */
export const less: Binary = comparison("Less", isOrdered, "floats or int32");
/** Both a and b, of bool. */
export const and: Binary = comparison("And", ({ type }) => type === "bool", "bool");

/** The opposite of a bool. */
export function not(x: Value): Value {
  return call(negation, [x], null);
}
const negation: Operator<null> = {
  name: "Not",
  shape: ([x]) => {
    if (x!.type !== "bool") throw typeError("Not", [x!], "it takes bool");
    return { type: "bool", dims: x!.dims };
  },
};

/** a where the condition holds, else b; the three are broadcast to each other. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  return call(choice, [condition, ...operands(a, b)], null);
}
const choice: Operator<null> = {
  name: "Where",
  elementwise: true,
  shape: (inputs) => {
    const [condition, ...rest] = inputs;
    if (condition!.type !== "bool") throw typeError("Where", inputs, "the condition must be bool");
    return { type: sameType("Where", rest), dims: broadcastDims("Where", inputs) };
  },
  gradient: ({ x: [condition], dy }) => [
    undefined,
    where(condition!, dy, 0),
    where(condition!, 0, dy),
  ],
};

/** x in another element type. */
export function cast(x: Value, type: ElementType): Value {
  return x.type === type ? x : call(casting, [x], type);
}
const casting: Operator<ElementType> = {
  name: "Cast",
  elementwise: true,
  shape: ([x], type) => ({ type, dims: x!.dims }),
  onnx: (type) => ({ attributes: { to: { int: typeCode(type) } } }),
  gradient: ({ x: [x], dy }) => [isFloat(x!) && isFloat(dy) ? cast(dy, x!.type) : undefined],
};

/**
 * Applies to float16 what WebGPU can only do in float32. Whatever only moves or bounds elements
 * gives the same elements either way.
 */
export function inFloat32(x: Value, apply: (x: Value) => Value): Value {
  return x.type === "float16" ? cast(apply(cast(x, "float32")), "float16") : apply(x);
}

/** x, with no gradient flowing back through it. */
export function stopGradient(x: Value): Value {
  return call(barrier, [x], null);
}
/** Leaves no node behind: the compiler reads through it. */
export const barrier: Operator<null> = {
  name: "Identity",
  shape: ([x]) => ({ type: x!.type, dims: x!.dims }),
};
