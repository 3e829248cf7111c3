/** Forward-only graphs: traced once, run often, or written out as a model of their own. */
import { FairlError } from "../base/mod.ts";
import type { ElementType, HostTensor, Runtime, Session, Tensor } from "../runtime/mod.ts";
import { compileGraph } from "./compile.ts";
import { encodeModel, type ModelOptions, type OnnxGraph } from "./onnx.ts";
import {
  checkTensors,
  constantsOf,
  inputsOf,
  type InputSpec,
  mapRecord,
  openGraph,
} from "./session.ts";
import type { Value } from "./value.ts";

/** What a program is traced from. */
export interface ProgramSpec {
  /** Name of the graph; "program" by default. */
  readonly name?: string;
  /** Tensors that lie inside the model. */
  readonly constants?: Readonly<Record<string, HostTensor>>;
  /** What is fed. A text as size names one that may differ from run to run. */
  readonly inputs: Readonly<
    Record<string, { type: ElementType; dims: readonly (number | string)[] }>
  >;
  /** Outputs that {@linkcode Program.step} leaves on the device: what goes into the next run. */
  readonly resident?: readonly string[];
  /** The computation. */
  outputs(values: {
    /** The constants, as values. */
    readonly constants: Record<string, Value>;
    /** The inputs, as values. */
    readonly inputs: Record<string, Value>;
  }): Record<string, Value>;
}

/**
 * The bytes of a `.onnx` file for a program, with no device involved.
 *
 * @throws FairlError `graph.shape` or `graph.type` when an operator's inputs do not fit
 *
 * @example A linear reward of any number of rows
 * ```ts
 * import { assert } from "@std/assert";
 * import { matmul, squeeze } from "./ops/mod.ts";
 * import { traceModel } from "./program.ts";
 * import { tensor } from "../runtime/mod.ts";
 *
 * const model = traceModel({
 *   constants: { weight: tensor("float32", [2, 1], Float32Array.of(1, -1)) },
 *   inputs: { features: { type: "float32", dims: ["n", 2] } },
 *   outputs: ({ constants: { weight }, inputs: { features } }) => ({
 *     reward: squeeze(matmul(features!, weight!), [1]),
 *   }),
 * });
 * assert(model.length > 0);
 * ```
 */
export function traceModel(spec: ProgramSpec, options: ModelOptions = {}): Uint8Array<ArrayBuffer> {
  return encodeModel(trace(spec).graph, options);
}

function trace(spec: ProgramSpec): { graph: OnnxGraph; inputs: Record<string, InputSpec> } {
  const { name = "program", constants } = spec;
  const sizes: string[] = [];
  const sizeOf = (dim: number | string): number => {
    if (typeof dim === "number") return dim;
    if (!sizes.includes(dim)) sizes.push(dim);
    return -1 - sizes.indexOf(dim);
  };
  const specs = mapRecord(spec.inputs, ({ type, dims }) => ({ type, dims: dims.map(sizeOf) }));
  const inputs = inputsOf(specs);
  const outputs = spec.outputs({ constants: constantsOf(constants), inputs });
  const clash = Object.keys(outputs).find((output) => output in inputs);
  if (clash) {
    throw new FairlError("graph.input", `"${clash}" is both an input and an output`);
  }
  const graph = compileGraph({ name, inputs: Object.values(inputs), outputs, sizes });
  return { graph, inputs: specs };
}

/**
 * A forward-only graph on a device.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { add, mul } from "./ops/mod.ts";
 * import { Program } from "./program.ts";
 * import { Runtime, tensor } from "../runtime/mod.ts";
 *
 * await using runtime = await Runtime.open("wasm");
 * await using program = await Program.open(runtime, {
 *   inputs: { x: { type: "float32", dims: ["n"] } },
 *   outputs: ({ inputs: { x } }) => ({ y: add(mul(x!, 2), 1) }),
 * });
 * const { y } = await program.run({ x: tensor("float32", [2], Float32Array.of(1, 2)) });
 * assert(y!.data.join() === "3,5");
 * ```
 */
export class Program implements AsyncDisposable {
  readonly #session: Session;
  readonly #runtime: Runtime;
  readonly #inputs: Record<string, InputSpec>;
  readonly #graph: OnnxGraph;

  private constructor(
    runtime: Runtime,
    session: Session,
    inputs: Record<string, InputSpec>,
    graph: OnnxGraph,
  ) {
    this.#runtime = runtime;
    this.#session = session;
    this.#inputs = inputs;
    this.#graph = graph;
  }

  /** The bytes of the `.onnx` file. */
  get model(): Uint8Array<ArrayBuffer> {
    return encodeModel(this.#graph);
  }

  /**
   * Traces, compiles and loads a program.
   *
   * @throws FairlError `graph.shape` or `graph.type` when an operator's inputs do not fit
   * @throws FairlError `graph.float16` when the device cannot compute in float16 and the graph does
   */
  static async open(runtime: Runtime, spec: ProgramSpec): Promise<Program> {
    const { graph, inputs } = trace(spec);
    const session = await openGraph(runtime, graph, spec.resident);
    return new Program(runtime, session, inputs, graph);
  }

  /**
   * Computes the outputs.
   *
   * @throws FairlError `graph.input` when the feeds are not the inputs
   */
  async run(feeds: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>> {
    checkTensors("inputs", this.#inputs, feeds);
    const results: Record<string, HostTensor> = {};
    for (const [name, value] of Object.entries(await this.#session.run(feeds))) {
      results[name] = await this.#runtime.read(value);
    }
    return results;
  }

  /**
   * Computes the outputs and leaves the resident ones where they are; they are the caller's to
   * dispose of. Tensors that such a run left on the device may be fed.
   *
   * @throws FairlError `runtime.run` when the feeds are not the inputs
   */
  async step(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    return await this.#session.run(feeds);
  }

  /** Releases the session. */
  async dispose(): Promise<void> {
    await this.#session.dispose();
  }

  /** The same as {@linkcode Program.dispose}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
