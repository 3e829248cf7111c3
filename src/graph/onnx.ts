/** Writes ONNX models: the protobuf bytes of a graph, with no schema library behind it. */
import type { ElementType, HostTensor } from "../runtime/mod.ts";

/** A node attribute: an integer, a float, a text, a list of either, a tensor or a subgraph. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: HostTensor }
  | { readonly graph: OnnxGraph };

/** One operator call. An empty input name leaves an optional input out. */
export interface OnnxNode {
  /** Name of the operator. */
  readonly op: string;
  /** Names of the values it reads. */
  readonly inputs: readonly string[];
  /** Names of the values it makes. */
  readonly outputs: readonly string[];
  /** What is fixed about it, by name. */
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** The operator set it belongs to; the standard one by default. */
  readonly domain?: string;
}

/** A named value that goes in or out of a graph. A text as dimension names one that may vary. */
export interface OnnxValue {
  /** Its name. */
  readonly name: string;
  /** What its elements are. */
  readonly type: ElementType;
  /** Its shape. */
  readonly dims: readonly (number | string)[];
}

/** A graph: nodes in an order in which each comes after those it reads. */
export interface OnnxGraph {
  /** Its name. */
  readonly name: string;
  /** What it computes. */
  readonly nodes: readonly OnnxNode[];
  /** Tensors that lie inside the model, by the names under which nodes read them. */
  readonly initializers: Readonly<Record<string, HostTensor>>;
  /** What is fed. */
  readonly inputs: readonly OnnxValue[];
  /** What comes out. */
  readonly outputs: readonly OnnxValue[];
}

/** What stands in the model's head. */
export interface ModelOptions {
  /** Version of the standard operator set; 20 by default, the last that WebGPU covers well. */
  opset?: number;
  /** Versions of further operator sets by domain, such as `com.microsoft`. */
  domains?: Readonly<Record<string, number>>;
  /** Texts kept with the model. */
  metadata?: Readonly<Record<string, string>>;
}

/**
 * Serialises a graph as an ONNX model (onnx.proto3, IR version 9).
 *
 * @returns the bytes of a `.onnx` file; equal graphs give equal bytes
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { encodeModel } from "./onnx.ts";
 * const bytes = encodeModel({
 *   name: "negate",
 *   nodes: [{ op: "Neg", inputs: ["x"], outputs: ["y"] }],
 *   initializers: {},
 *   inputs: [{ name: "x", type: "float32", dims: ["n"] }],
 *   outputs: [{ name: "y", type: "float32", dims: ["n"] }],
 * });
 * assert(bytes.length > 0);
 * ```
 */
export function encodeModel(graph: OnnxGraph, options: ModelOptions = {}): Uint8Array<ArrayBuffer> {
  const { opset = 20, domains = {}, metadata = {} } = options;
  const sets: [string, number][] = [["", opset], ...Object.entries(domains)];
  return message(
    integer(1, 9),
    text(2, "fairl"),
    nested(7, encodeGraph(graph)),
    ...sets.map(([domain, version]) => nested(8, [text(1, domain), integer(2, version)])),
    ...Object.entries(metadata).map(([key, value]) => nested(14, [text(1, key), text(2, value)])),
  );
}

function encodeGraph(graph: OnnxGraph): Part[] {
  return [
    ...graph.nodes.map((node) => nested(1, encodeNode(node))),
    text(2, graph.name),
    ...Object.entries(graph.initializers).map(([name, value]) =>
      nested(5, encodeTensor(value, name))
    ),
    ...graph.inputs.map((value) => nested(11, encodeValue(value))),
    ...graph.outputs.map((value) => nested(12, encodeValue(value))),
  ];
}

function encodeNode(node: OnnxNode): Part[] {
  return [
    ...node.inputs.map((name) => text(1, name)),
    ...node.outputs.map((name) => text(2, name)),
    text(4, node.op),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) =>
      nested(5, encodeAttribute(name, value))
    ),
    ...(node.domain ? [text(7, node.domain)] : []),
  ];
}

function encodeAttribute(name: string, value: OnnxAttribute): Part[] {
  const head = text(1, name);
  const kind = (code: number) => integer(20, code);
  if ("float" in value) return [head, float(2, value.float), kind(1)];
  if ("int" in value) return [head, integer(3, value.int), kind(2)];
  if ("text" in value) return [head, text(4, value.text), kind(3)];
  if ("tensor" in value) return [head, nested(5, encodeTensor(value.tensor)), kind(4)];
  if ("graph" in value) return [head, nested(6, encodeGraph(value.graph)), kind(5)];
  if ("floats" in value) return [head, ...value.floats.map((item) => float(7, item)), kind(6)];
  return [head, ...value.ints.map((item) => integer(8, item)), kind(7)];
}

/** TensorProto.DataType of each element type. */
const TYPE_CODES: Record<ElementType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

/** The code that ONNX has for an element type, as `Cast` wants it. */
export function typeCode(type: ElementType): number {
  return TYPE_CODES[type];
}

function encodeTensor(value: HostTensor, name = ""): Part[] {
  const { type, dims, data } = value;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [
    ...dims.map((dim) => integer(1, dim)),
    integer(2, TYPE_CODES[type]),
    ...(name ? [text(8, name)] : []),
    bytes(9, raw),
  ];
}

function encodeValue(value: OnnxValue): Part[] {
  const dims = value.dims.map((dim) =>
    nested(1, [typeof dim === "number" ? integer(1, dim) : text(2, dim)])
  );
  const tensorType = [integer(1, TYPE_CODES[value.type]), nested(2, dims)];
  return [text(1, value.name), nested(2, [nested(1, tensorType)])];
}

// Protobuf's wire format. A message is built as a list of parts and copied together once, so a
// hundred megabytes of weights are copied once and not once for each level they are nested in.

/** Bytes in order, or further parts, with their length known. */
interface Part {
  readonly length: number;
  readonly pieces: readonly (Uint8Array | Part)[];
}

function part(...pieces: (Uint8Array | Part)[]): Part {
  return { length: pieces.reduce((sum, piece) => sum + piece.length, 0), pieces };
}

function message(...parts: Part[]): Uint8Array<ArrayBuffer> {
  const whole = part(...parts);
  const target = new Uint8Array(whole.length);
  let at = 0;
  const copy = (from: Part) => {
    for (const piece of from.pieces) {
      if (piece instanceof Uint8Array) {
        target.set(piece, at);
        at += piece.length;
      } else copy(piece);
    }
  };
  copy(whole);
  return target;
}

function varint(value: number): Uint8Array {
  const result: number[] = [];
  // Negative numbers take ten bytes, as two's complement of 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    result.push(rest ? low | 128 : low);
  } while (rest);
  return Uint8Array.from(result);
}

function integer(field: number, value: number): Part {
  return part(varint(field << 3), varint(value));
}

function float(field: number, value: number): Part {
  const buffer = new Uint8Array(4);
  new DataView(buffer.buffer).setFloat32(0, value, true);
  return part(varint(field << 3 | 5), buffer);
}

function bytes(field: number, value: Uint8Array): Part {
  return part(varint(field << 3 | 2), varint(value.length), value);
}

function text(field: number, value: string): Part {
  return bytes(field, new TextEncoder().encode(value));
}

function nested(field: number, parts: Part[]): Part {
  const inner = part(...parts);
  return part(varint(field << 3 | 2), varint(inner.length), inner);
}
