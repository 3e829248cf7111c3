/** From symbolic tensors to an ONNX graph: what the outputs need, each thing once. */
import type { HostTensor } from "../runtime/mod.ts";
import type { OnnxGraph, OnnxNode, OnnxValue } from "./onnx.ts";
import { barrier } from "./ops/elementwise.ts";
import type { Node, Operator, Value } from "./value.ts";

/** What a graph is compiled from. */
export interface GraphSpec {
  readonly name: string;
  /** Inputs in order; those that no output needs stay, so that a feed is always accepted. */
  readonly inputs: readonly Value[];
  readonly outputs: Readonly<Record<string, Value>>;
  /** Names of the named sizes: the first stands for -1, the second for -2, and so on. */
  readonly sizes?: readonly string[];
}

/**
 * Lays the values out as ONNX nodes in the order in which they are needed. Nodes that compute the
 * same of the same inputs become one, nodes that no output needs are left out, equal constants are
 * kept once.
 */
export function compileGraph({ name, inputs, outputs, sizes = [] }: GraphSpec): OnnxGraph {
  const nodes: OnnxNode[] = [];
  const initializers: Record<string, HostTensor> = {};
  const names = new Map<Value, string>();
  const outputsOf = new Map<Node, readonly string[]>();
  const constants = new Map<string, string>();
  const known = new Map<string, readonly string[]>();
  const large = new Map<HostTensor, string>();
  for (const value of inputs) names.set(value, (value.source as { name: string }).name);

  const keep = (tensor: HostTensor): string => {
    const next = `c${Object.keys(initializers).length}`;
    // Small ones are compared by content, large ones by identity.
    if (tensor.data.length > 64) {
      if (!large.has(tensor)) {
        initializers[next] = tensor;
        large.set(tensor, next);
      }
      return large.get(tensor)!;
    }
    const key = `${tensor.type}[${tensor.dims}]${bitsOf(tensor)}`;
    if (!constants.has(key)) {
      initializers[next] = tensor;
      constants.set(key, next);
    }
    return constants.get(key)!;
  };

  const emit = (node: Node): readonly string[] => {
    const { operator, attributes } = node;
    const form = operator.onnx?.(attributes, node.inputs) ?? {};
    const from = [...node.inputs.map(nameOf), ...(form.extra ?? []).map(keep)];
    const key = `${operator.name}(${from})${JSON.stringify(form.attributes ?? {})}`;
    const same = known.get(key);
    if (same) return same;
    const to = node.outputs.map((_, port) => `v${nodes.length}${port ? `_${port}` : ""}`);
    nodes.push({
      op: operator.name,
      inputs: from,
      outputs: to,
      ...(form.attributes ? { attributes: form.attributes } : {}),
    });
    known.set(key, to);
    return to;
  };

  const nameOf = (value: Value): string => {
    const named = names.get(value);
    if (named !== undefined) return named;
    const { source } = value;
    let result: string;
    if (source.kind === "constant") result = keep(source.tensor);
    else if (source.kind === "input") throw new Error(`${source.name} belongs to another graph`);
    else if (source.node.operator === barrier as Operator) result = nameOf(source.node.inputs[0]!);
    else {
      let to = outputsOf.get(source.node);
      if (!to) outputsOf.set(source.node, to = emit(source.node));
      result = to[source.port]!;
    }
    names.set(value, result);
    return result;
  };

  const declare = (value: Value, as: string): OnnxValue => ({
    name: as,
    type: value.type,
    dims: value.dims.map((dim) => dim < 0 ? sizes[-dim - 1]! : dim),
  });
  const ends = Object.entries(outputs).map(([as, value]) => {
    nodes.push({ op: "Identity", inputs: [nameOf(value)], outputs: [as] });
    return declare(value, as);
  });
  return {
    name,
    nodes: withoutDetours(nodes, new Set(Object.keys(outputs))),
    initializers,
    inputs: inputs.map((value) => declare(value, names.get(value)!)),
    outputs: ends,
  };
}

/** Renames a node's output to the graph's, where an Identity would only have copied it. */
function withoutDetours(nodes: readonly OnnxNode[], outputs: ReadonlySet<string>): OnnxNode[] {
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const kept = nodes.filter(({ op, inputs: [from], outputs: [to] }) => {
    const direct = op === "Identity" && outputs.has(to!) && made.has(from!) && !renamed.has(from!);
    if (direct) renamed.set(from!, to!);
    return !direct;
  });
  const rename = (name: string) => renamed.get(name) ?? name;
  return kept.map((node) => ({
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  }));
}

function bitsOf({ data }: HostTensor): string {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).join();
}
