/** Training on a device: state goes out of one run and into the next. */
import { FairlError } from "../base/mod.ts";
import {
  type ElementArrays,
  type ElementType,
  type HostTensor,
  isDeviceTensor,
  type Runtime,
  type Session,
  sizeOf,
  type Tensor,
  tensor,
} from "../runtime/mod.ts";
import { encodeModel } from "./onnx.ts";
import { checkTensors, type InputSpec, mapRecord, openGraph } from "./session.ts";
import {
  batchSpecs,
  type CompiledSteps,
  compileSteps,
  nextOf,
  slotsOf,
  stateName,
} from "./step.ts";
import type { TrainerSpec } from "./step.ts";

/** What one run is fed. */
export interface TrainerRun {
  /** The tensors that are the same for each step. */
  readonly inputs?: Readonly<Record<string, HostTensor>>;
  /** The tensors of which each step sees one piece: `[steps, ...dims]`. */
  readonly batch?: Readonly<Record<string, HostTensor>>;
  /** One rate for all steps, or one for each. */
  readonly learningRate: number | Float32Array;
  /** Steps to make, `stepsPerRun` by default. Fewer change the parameters fewer times. */
  readonly steps?: number;
}

/** What a step in pieces is fed. */
export interface AccumulatedStep {
  /** Inputs of each piece, and the part of its loss in the step's: 1 / pieces for a mean of equal ones. */
  readonly pieces: readonly {
    /** As a run has them. */
    readonly inputs: Readonly<Record<string, HostTensor>>;
    /** Part in the sum. */
    readonly weight: number;
  }[];
  /** The step's rate. */
  readonly learningRate: number;
}

/** Everything that the next step depends on, as plain data. */
export interface TrainerState {
  /** Name of the optimizer that it belongs to. */
  readonly optimizer: string;
  /** Steps made so far. */
  readonly step: number;
  /** The parameters. */
  readonly parameters: Readonly<Record<string, HostTensor<"float32">>>;
  /** The optimizer's vectors, by their name and the parameter's. */
  readonly slots: Readonly<Record<string, Readonly<Record<string, HostTensor<"float32">>>>>;
}

/**
 * Trains parameters on a device. The model that it runs holds forward, gradient and optimizer of
 * `stepsPerRun` steps as plain ONNX operators; the same bytes run on each device. Await a call
 * before the next one: each starts from where the last one ended.
 *
 * @example A line through four points
 * ```ts
 * import { assert } from "@std/assert";
 * import { add, matmul, mul, reduceMean, sub } from "./ops/mod.ts";
 * import { sgd } from "./optimizer.ts";
 * import { Trainer } from "./trainer.ts";
 * import { Runtime, scalar, tensor } from "../runtime/mod.ts";
 *
 * await using runtime = await Runtime.open("wasm");
 * await using trainer = await Trainer.open(runtime, {
 *   parameters: { slope: { value: scalar(0) }, intercept: { value: scalar(0) } },
 *   constants: {
 *     x: tensor("float32", [4], Float32Array.of(0, 1, 2, 3)),
 *     y: tensor("float32", [4], Float32Array.of(1, 3, 5, 7)),
 *   },
 *   loss({ parameters: { slope, intercept }, constants: { x, y } }) {
 *     const error = sub(add(mul(x!, slope!), intercept!), y!);
 *     return reduceMean(mul(error, error));
 *   },
 *   optimizer: sgd({ momentum: 0.9 }),
 *   stepsPerRun: 20,
 * });
 * for (let run = 0; run < 20; run++) await trainer.run({ learningRate: 0.02 });
 * const { slope } = await trainer.parameters();
 * assert(Math.abs(slope!.data[0]! - 2) < 1e-3);
 * ```
 */
export class Trainer implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #spec: TrainerSpec;
  readonly #compiled: CompiledSteps;
  readonly #batch: Record<string, InputSpec>;
  #state: Record<string, Tensor> = {};
  #step = 0;

  private constructor(
    runtime: Runtime,
    session: Session,
    spec: TrainerSpec,
    compiled: CompiledSteps,
  ) {
    this.#runtime = runtime;
    this.#session = session;
    this.#spec = spec;
    this.#compiled = compiled;
    this.#batch = batchSpecs(spec);
    this.#start(this.#initial());
  }

  /**
   * Traces, compiles and loads the steps.
   *
   * @throws FairlError `graph.shape` or `graph.type` when an operator's inputs do not fit
   * @throws FairlError `graph.gradient` when an operator has no gradient and would need one
   * @throws FairlError `graph.float16` when the device cannot compute in float16 and the graph does
   */
  static async open(runtime: Runtime, spec: TrainerSpec): Promise<Trainer> {
    const compiled = compileSteps(spec);
    const session = await openGraph(runtime, compiled.graph, compiled.state.map(nextOf));
    return new Trainer(runtime, session, spec, compiled);
  }

  /** The bytes of the `.onnx` file that it runs. */
  get model(): Uint8Array<ArrayBuffer> {
    // Written again when asked for: kept, they would take as much memory as the constants once more.
    return encodeModel(this.#compiled.graph);
  }

  /** Steps made since the start or the last {@linkcode Trainer.reset}. */
  get step(): number {
    return this.#step;
  }

  /**
   * Makes some steps.
   *
   * @returns the loss of each step, before its update
   * @throws FairlError `graph.input` when the feeds are not what was declared
   */
  async run(run: TrainerRun): Promise<{ loss: Float32Array<ArrayBuffer> }> {
    const { stepsPerRun, inputs: inputSpecs = {}, accumulate } = this.#spec;
    const { inputs = {}, batch = {}, learningRate, steps = stepsPerRun } = run;
    if (accumulate) {
      throw new FairlError("graph.input", "The step is compiled to be made in pieces");
    }
    if (!Number.isInteger(steps) || steps < 1 || steps > stepsPerRun) {
      throw new FairlError("graph.input", `steps is ${steps}, not one of 1 ... ${stepsPerRun}`);
    }
    checkTensors("inputs", inputSpecs, inputs);
    const pieces = mapRecord(batch, (value) => filled(value, steps, stepsPerRun));
    checkTensors("batch", this.#batch, pieces);
    const results = await this.#session.run({
      ...this.#state,
      schedule: this.#schedule(learningRate, steps),
      ...prefixed("input.", inputs),
      ...prefixed("batch.", pieces),
    });
    this.#replace(mapRecord(this.#state, (_, name) => results[nextOf(name)]!));
    this.#step += steps;
    const { data } = await this.#runtime.read(results["loss"]!);
    return { loss: (data as ElementArrays["float32"]).slice(0, steps) };
  }

  /**
   * Makes one step whose gradient is the sum of its pieces'.
   *
   * @returns the sum of the pieces' losses by their weights, before the update
   * @throws FairlError `graph.input` when the trainer was not compiled to accumulate, there is no piece, or
   * the feeds are not what was declared
   */
  async accumulate({ pieces, learningRate }: AccumulatedStep): Promise<number> {
    const { optimizer, inputs: specs = {}, accumulate } = this.#spec;
    if (!accumulate || pieces.length === 0) {
      const reason = accumulate ? "has no piece" : "is not compiled to be made in pieces";
      throw new FairlError("graph.input", `The step ${reason}`);
    }
    for (const { inputs } of pieces) checkTensors("inputs", specs, inputs);
    let sum = 0;
    for (const [at, { inputs, weight }] of pieces.entries()) {
      const last = at === pieces.length - 1;
      const scalars = last ? optimizer.feed(this.#step + 1, learningRate) : optimizer.idle;
      const row = Float32Array.of(weight, at === 0 ? 0 : 1, last ? 1 : 0, ...scalars);
      const results = await this.#session.run({
        ...this.#state,
        schedule: tensor("float32", [1, row.length], row),
        ...prefixed("input.", inputs),
      });
      this.#replace(mapRecord(this.#state, (_, name) => results[nextOf(name)]!));
      sum += weight * Number((await this.#runtime.read(results["loss"]!)).data[0]);
    }
    this.#step++;
    return sum;
  }

  /** The parameters as they are now. */
  async parameters(): Promise<Record<string, HostTensor<"float32">>> {
    return await this.#unpacked("parameter");
  }

  /** A copy of everything that the next step depends on. */
  async state(): Promise<TrainerState> {
    const { optimizer } = this.#spec;
    const slots: Record<string, Record<string, HostTensor<"float32">>> = {};
    for (const slot of optimizer.slots) slots[slot] = await this.#unpacked(slot);
    return {
      optimizer: optimizer.name,
      step: this.#step,
      parameters: await this.parameters(),
      slots,
    };
  }

  /**
   * Goes on from a state: the next steps give the same bytes as they would have then.
   *
   * @throws FairlError `graph.state` when it belongs to another optimizer
   * @throws FairlError `graph.input` when it belongs to other parameters
   */
  // deno-lint-ignore require-await -- its errors are to come as a rejection
  async load(state: TrainerState): Promise<void> {
    const { optimizer } = this.#spec;
    if (state.optimizer !== optimizer.name) {
      throw new FairlError(
        "graph.state",
        `The state is one of ${state.optimizer}, the trainer runs ${optimizer.name}`,
      );
    }
    const specs = this.#initial();
    checkTensors("the state's parameters", specs, state.parameters);
    for (const slot of optimizer.slots) {
      checkTensors(`the state's ${slot}`, specs, state.slots[slot] ?? {});
    }
    this.#start(state.parameters, state.slots);
    this.#step = state.step;
  }

  /**
   * Starts again with a fresh optimizer.
   *
   * @param parameters Where to start from; the initial ones by default
   * @throws FairlError `graph.input` when they are not the parameters that were declared
   */
  // deno-lint-ignore require-await -- its errors are to come as a rejection
  async reset(parameters?: Readonly<Record<string, HostTensor<"float32">>>): Promise<void> {
    const initial = this.#initial();
    if (parameters) checkTensors("parameters", initial, parameters);
    this.#start(parameters ?? initial);
    this.#step = 0;
  }

  /** Releases the session and the state. */
  async dispose(): Promise<void> {
    this.#replace({});
    await this.#session.dispose();
  }

  /** The same as {@linkcode Trainer.dispose}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #initial(): Record<string, HostTensor<"float32">> {
    return mapRecord(this.#spec.parameters, ({ value }) => value);
  }

  /** Lays parameters and optimizer vectors out as the graph takes them; zeros where none are given. */
  #start(parameters: TrainerState["parameters"], slots: TrainerState["slots"] = {}): void {
    const state: Record<string, Tensor> = {};
    this.#compiled.packs.forEach((pack, at) => {
      state[stateName(at)] = pack.packTensors(parameters);
      for (const slot of slotsOf(this.#spec)) {
        const given = slots[slot];
        state[stateName(at, slot)] = given
          ? pack.packTensors(given)
          : tensor("float32", [pack.size], new Float32Array(pack.size));
      }
    });
    this.#replace(state);
  }

  #replace(state: Record<string, Tensor>): void {
    for (const old of Object.values(this.#state)) if (isDeviceTensor(old)) old.dispose();
    this.#state = state;
  }

  async #unpacked(slot: string): Promise<Record<string, HostTensor<"float32">>> {
    const result: Record<string, HostTensor<"float32">> = {};
    for (const [at, pack] of this.#compiled.packs.entries()) {
      const whole = await this.#runtime.read(this.#state[stateName(at, slot)]!);
      Object.assign(result, pack.unpackTensors(whole));
    }
    // In the order in which they were declared, not the one in which they are packed.
    return mapRecord(this.#spec.parameters, (_, name) => result[name]!);
  }

  /** A row for each step: the gradient's seed, then the optimizer's scalars. */
  #schedule(learningRate: number | Float32Array, steps: number): HostTensor {
    const { optimizer, stepsPerRun } = this.#spec;
    if (typeof learningRate !== "number" && learningRate.length < steps) {
      throw new FairlError(
        "graph.input",
        `${learningRate.length} learning rates do not reach for ${steps} steps`,
      );
    }
    const rows = Array.from({ length: stepsPerRun }, (_, at) => {
      if (at >= steps) return [0, ...optimizer.idle];
      const rate = typeof learningRate === "number" ? learningRate : learningRate[at]!;
      return [1, ...optimizer.feed(this.#step + at + 1, rate)];
    });
    return tensor("float32", [stepsPerRun, rows[0]!.length], Float32Array.from(rows.flat()));
  }
}

function prefixed(prefix: string, tensors: Readonly<Record<string, HostTensor>>) {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, value]) => [prefix + name, value]),
  );
}

/**
 * A batch with a piece for each step of the graph. Steps that are not to be made get the first
 * piece again: whatever they compute is then as finite as a real step.
 */
function filled(batch: HostTensor, steps: number, stepsPerRun: number): HostTensor {
  const { type, dims: [given, ...rest], data } = batch;
  if (steps === stepsPerRun || (given !== steps && given !== stepsPerRun)) return batch;
  const size = sizeOf(rest);
  const Elements = data.constructor as new (length: number) => ElementArrays[ElementType];
  const whole = new Elements(stepsPerRun * size);
  const copied = data.subarray(0, steps * size);
  for (let at = steps; at < stepsPerRun; at++) {
    whole.set(data.subarray(0, size) as never, at * size);
  }
  whole.set(copied as never);
  return { type, dims: [stepsPerRun, ...rest], data: whole };
}
