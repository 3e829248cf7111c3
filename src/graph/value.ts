/** Symbolic tensors: what a traced computation is made of. */
import { FairlError } from "../base/mod.ts";
import { type ElementType, type HostTensor, tensor } from "../runtime/mod.ts";
import type { OnnxAttribute } from "./onnx.ts";

/** Element type and shape of a symbolic tensor. */
export interface Shape {
  /** What its elements are. */
  readonly type: ElementType;
  /** Its sizes; empty for a scalar. A negative size stands for a named one ({@linkcode Value}). */
  readonly dims: readonly number[];
}

/** A symbolic tensor, or a number where a scalar of the other operand's type is meant. */
export type Operand = Value | number;

/** One operator: shape rule, ONNX form and gradient side by side. */
export interface Operator<A = unknown> {
  /** Name of the ONNX operator. */
  readonly name: string;
  /**
   * What the outputs look like.
   *
   * @throws FairlError `graph.shape` or `graph.type` when the inputs do not fit
   */
  shape(inputs: readonly Value[], attributes: A): Shape | readonly Shape[];
  /** How the node is written, where it has attributes or inputs that are fixed while tracing. */
  onnx?(attributes: A, inputs: readonly Value[]): OnnxForm;
  /**
   * Gradient for each input, given the gradients of the outputs. One that is smaller than its
   * input is meant to be broadcast to it. Missing where no gradient flows through the operator.
   */
  gradient?(call: GradientCall<A>): readonly (Value | undefined)[];
  /** True when `gradient` takes a `dy` that still has to be broadcast to the output. */
  readonly elementwise?: boolean;
}

/** What a node has besides its inputs. */
export interface OnnxForm {
  /** Attributes by name. */
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** Constant inputs that come after the others: shapes, axes. */
  readonly extra?: readonly HostTensor[];
}

/** What a gradient rule is given. */
export interface GradientCall<A> {
  /** The inputs. */
  readonly x: readonly Value[];
  /** The first output: all that most operators have. */
  readonly y: Value;
  /** Its gradient. */
  readonly dy: Value;
  /** Gradients of all outputs; undefined where nothing depends on one. */
  readonly dys: readonly (Value | undefined)[];
  /** What the operator was called with beside its inputs. */
  readonly attributes: A;
}

/** Where a value comes from. */
export type Source =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "constant"; readonly tensor: HostTensor }
  | { readonly kind: "node"; readonly node: Node; readonly port: number };

/** One call of an operator. */
export interface Node {
  /** What is called. */
  readonly operator: Operator;
  /** What it is called with. */
  readonly inputs: readonly Value[];
  /** What is fixed while tracing. */
  readonly attributes: unknown;
  /** What comes out. */
  readonly outputs: readonly Value[];
}

/**
 * A symbolic tensor. Operators make new ones out of others; nothing is computed before the whole
 * is compiled and run. Sizes are fixed while tracing; in a graph without gradients a size may be
 * named instead, and is then a negative number here that equals only itself.
 */
export class Value implements Shape {
  /** Values are made by operators, {@linkcode constant}, and the tracer. */
  constructor(
    /** What its elements are. */
    readonly type: ElementType,
    /** Its sizes; empty for a scalar. */
    readonly dims: readonly number[],
    /** The node, constant or input it comes from. */
    readonly source: Source,
  ) {}

  /** Number of axes. */
  get rank(): number {
    return this.dims.length;
  }
}

/** Calls an operator that has one output. */
export function call<A>(operator: Operator<A>, inputs: readonly Value[], attributes: A): Value {
  return callAll(operator, inputs, attributes)[0]!;
}

/** Calls an operator and gives all its outputs. */
export function callAll<A>(
  operator: Operator<A>,
  inputs: readonly Value[],
  attributes: A,
): readonly Value[] {
  const found = operator.shape(inputs, attributes);
  const shapes: readonly Shape[] = Array.isArray(found) ? found : [found as Shape];
  const outputs: Value[] = [];
  const node = { operator: operator as Operator, inputs, attributes, outputs };
  shapes.forEach(({ type, dims }, port) => {
    outputs.push(new Value(type, dims, { kind: "node", node, port }));
  });
  return outputs;
}

/** A value that is fed when the graph runs. */
export function input(name: string, type: ElementType, dims: readonly number[]): Value {
  return new Value(type, dims, { kind: "input", name });
}

/**
 * A value that is fixed while tracing and lies inside the model.
 *
 * @param value A tensor, or a number for a scalar
 * @param type Type of the scalar, float32 by default
 */
export function constant(value: HostTensor | number, type: ElementType = "float32"): Value {
  const whole = typeof value === "number" ? scalarOf(value, type) : value;
  return new Value(whole.type, whole.dims, { kind: "constant", tensor: whole });
}

function scalarOf(value: number, type: ElementType): HostTensor {
  switch (type) {
    case "float32":
      return tensor(type, [], Float32Array.of(value));
    case "float16":
      return tensor(type, [], Float16Array.of(value));
    case "int32":
      return tensor(type, [], Int32Array.of(value));
    case "int64":
      return tensor(type, [], BigInt64Array.of(BigInt(value)));
    case "int8":
      return tensor(type, [], Int8Array.of(value));
    case "uint8":
    case "bool":
      return tensor(type, [], Uint8Array.of(value));
  }
}

/** The number that a value is while tracing, or undefined when it is none. */
export function numberOf(value: Value): number | undefined {
  const { source } = value;
  if (source.kind !== "constant" || value.rank > 0) return undefined;
  return Number(source.tensor.data[0]);
}

/** Makes values of numbers, in the type of the first operand that is a value. */
export function operands(...given: readonly Operand[]): Value[] {
  const type = given.find((item) => typeof item !== "number")?.type ?? "float32";
  return given.map((item) => typeof item === "number" ? constant(item, type) : item);
}

/** A list of sizes as a reader expects it. */
export function showDims(dims: readonly number[]): string {
  return `[${dims.map((dim) => dim < 0 ? "?" : dim).join(", ")}]`;
}

/** The error for shapes that do not fit together. */
export function shapeError(operator: string, inputs: readonly Shape[], why: string): FairlError {
  const shapes = inputs.map(({ dims }) => showDims(dims)).join(" and ");
  return new FairlError("graph.shape", `${operator} of ${shapes}: ${why}`);
}

/** The error for element types that an operator does not take. */
export function typeError(operator: string, inputs: readonly Shape[], why: string): FairlError {
  const types = inputs.map(({ type }) => type).join(" and ");
  return new FairlError("graph.type", `${operator} of ${types}: ${why}`);
}
