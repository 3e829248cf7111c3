/** What trainers and programs share: opening a compiled graph, checking what it is fed. */
import { FairlError } from "../base/mod.ts";
import type { ElementType, HostTensor, Runtime, Session } from "../runtime/mod.ts";
import { encodeModel, type OnnxGraph, typeCode } from "./onnx.ts";
import { constant, input, showDims, type Value } from "./value.ts";

/** Declares an input. */
export interface InputSpec {
  /** What its elements are. */
  readonly type: ElementType;
  /** Its shape. */
  readonly dims: readonly number[];
}

/**
 * Opens a graph. On WebGPU an operator that would be computed on the CPU is an error here, never a
 * silent copy out and back.
 *
 * @throws FairlError `graph.float16` when it computes in float16 and the device cannot
 */
export async function openGraph(
  runtime: Runtime,
  graph: OnnxGraph,
  resident: readonly string[] = [],
): Promise<Session> {
  if (!runtime.hasFloat16 && usesFloat16(graph)) {
    throw new FairlError(
      "graph.float16",
      `${graph.name} computes in float16, which ${runtime.detail} cannot; cast to float32`,
    );
  }
  return await runtime.session(encodeModel(graph), { resident, strict: true });
}

function usesFloat16({ inputs, initializers, nodes }: OnnxGraph): boolean {
  const half = typeCode("float16");
  return [...inputs, ...Object.values(initializers)].some(({ type }) => type === "float16") ||
    nodes.some(({ attributes: { to } = {} }) => to && "int" in to && to.int === half);
}

/** Values of fixed tensors by name. */
export function constantsOf(
  tensors: Readonly<Record<string, HostTensor>> = {},
): Record<string, Value> {
  return mapRecord(tensors, (tensor) => constant(tensor));
}

/** Values that are fed, by name; the graph knows each by its name with a prefix. */
export function inputsOf(
  specs: Readonly<Record<string, InputSpec>> = {},
  prefix = "",
): Record<string, Value> {
  return mapRecord(specs, ({ type, dims }, name) => input(prefix + name, type, dims));
}

/** The same keys with other values. */
export function mapRecord<A, B>(
  record: Readonly<Record<string, A>>,
  change: (value: A, name: string) => B,
): Record<string, B> {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, change(value, name)]),
  );
}

/**
 * Checks that the tensors given are the ones declared.
 *
 * @param what What they are, for the message: "inputs", "parameters"
 * @throws FairlError `graph.input` when one is missing, unknown, or of another type or shape
 */
export function checkTensors(
  what: string,
  specs: Readonly<Record<string, InputSpec>>,
  given: Readonly<Record<string, HostTensor>>,
): void {
  for (const name of Object.keys(given)) {
    if (!specs[name]) {
      const known = Object.keys(specs).join(", ") || "none";
      throw new FairlError("graph.input", `${what} has no "${name}"; there is: ${known}`);
    }
  }
  for (const [name, { type, dims }] of Object.entries(specs)) {
    const tensor = given[name];
    if (!tensor) throw new FairlError("graph.input", `${what} lacks "${name}"`);
    const fits = tensor.dims.length === dims.length &&
      dims.every((dim, axis) => dim < 0 || dim === tensor.dims[axis]);
    if (tensor.type !== type || !fits) {
      throw new FairlError(
        "graph.input",
        `"${name}" of ${what} is ${type} ${showDims(dims)}, not ` +
          `${tensor.type} ${showDims(tensor.dims)}`,
      );
    }
  }
}
