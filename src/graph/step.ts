/** The graph of a training run: some steps in a row, each with forward, gradient and update. */
import { FairlError } from "../base/mod.ts";
import type { HostTensor } from "../runtime/mod.ts";
import { compileGraph } from "./compile.ts";
import { gradient } from "./gradient.ts";
import { encodeModel, type ModelOptions, type OnnxGraph } from "./onnx.ts";
import { add, cast, concat, gather, mul, reshape, split } from "./ops/mod.ts";
import { clipFactor, type Optimizer } from "./optimizer.ts";
import { type Pack, packsOf, type ParameterSpec } from "./packing.ts";
import { constantsOf, inputsOf, type InputSpec, mapRecord } from "./session.ts";
import { constant, input, shapeError, type Value } from "./value.ts";

/** What a trainer is compiled from. */
export interface TrainerSpec {
  /** What is trained: initial values, and whether weight decay reaches them. */
  readonly parameters: Readonly<Record<string, ParameterSpec>>;
  /** Tensors that lie inside the session, on the device: all features, for one. */
  readonly constants?: Readonly<Record<string, HostTensor>>;
  /** Fed once a run and the same for each of its steps. */
  readonly inputs?: Readonly<Record<string, InputSpec>>;
  /** One piece a step: declared as a step sees it, fed as `[steps, ...dims]`. */
  readonly batch?: Readonly<Record<string, InputSpec>>;
  /** The loss of one step, a scalar. */
  loss(values: LossValues): Value;
  /** How a step moves the parameters. */
  readonly optimizer: Optimizer;
  /** Largest global norm of the gradient; not clipped by default. */
  readonly clipNorm?: number;
  /** Steps inside one run. More of them cost less time a step and more time to load. */
  readonly stepsPerRun: number;
  /**
   * A step's inputs come in pieces, one run each, whose gradients are added up: what a run keeps for its
   * gradient then takes the memory of one piece. One step a run only; false by default.
   */
  readonly accumulate?: boolean;
}

/** What a loss is written over. */
export interface LossValues {
  /** The parameters as they are before the step. */
  readonly parameters: Record<string, Value>;
  /** The constants. */
  readonly constants: Record<string, Value>;
  /** What is fed once a run. */
  readonly inputs: Record<string, Value>;
  /** What is fed for this step. */
  readonly batch: Record<string, Value>;
}

/** A compiled training run. */
export interface CompiledSteps {
  readonly graph: OnnxGraph;
  readonly packs: readonly Pack[];
  /** Names of the vectors that go from one run into the next, as inputs. */
  readonly state: readonly string[];
}

/** The vectors that the gradients of pieces are added up in. */
const SUM = "sum";

/** Names of what lies beside the parameters in a trainer's state. */
export function slotsOf({ optimizer, accumulate }: TrainerSpec): readonly string[] {
  return accumulate ? [...optimizer.slots, SUM] : optimizer.slots;
}

/** Name of the output that carries a state vector on. */
export function nextOf(name: string): string {
  return `next.${name}`;
}

/** Name of a pack's parameters, or of one of its optimizer's vectors. */
export function stateName(pack: number, slot = "parameter"): string {
  return `${slot}.${pack}`;
}

/**
 * Traces `stepsPerRun` steps in a row.
 *
 * Loop would be shorter, but is not placed on WebGPU, and the same bytes are to train everywhere;
 * unrolled it is also no slower (docs/graph.md). A run of fewer steps feeds the rest with a
 * gradient seed of zero and the optimizer's idle scalars, which changes nothing. So does a piece of a step
 * but the last.
 *
 * @throws FairlError `graph.input` when a step in pieces is to be one of several in a run
 */
export function compileSteps(spec: TrainerSpec): CompiledSteps {
  const { optimizer, stepsPerRun, clipNorm, accumulate = false } = spec;
  if (accumulate && stepsPerRun !== 1) {
    throw new FairlError("graph.input", "A step in pieces is the only one of its run");
  }
  const packs = packsOf(spec.parameters);
  const constants = constantsOf(spec.constants);
  const inputs = inputsOf(spec.inputs, "input.");
  const wholeBatch = inputsOf(batchSpecs(spec), "batch.");
  const schedule = input("schedule", "float32", [
    stepsPerRun,
    optimizer.scalars + (accumulate ? 3 : 1),
  ]);
  const decays = packs.map(({ decay }) => decay);

  let vectors = packs.map(({ size }, at) => input(stateName(at), "float32", [size]));
  let slots = packs.map(({ size }, at) =>
    optimizer.slots.map((slot) => input(stateName(at, slot), "float32", [size]))
  );
  const sums = accumulate
    ? packs.map(({ size }, at) => input(stateName(at, SUM), "float32", [size]))
    : [];
  const outputs: Record<string, Value> = {};
  const fed = [
    ...vectors,
    ...slots.flat(),
    ...sums,
    schedule,
    ...Object.values(inputs),
    ...Object.values(wholeBatch),
  ];
  const losses: Value[] = [];
  for (let step = 0; step < stepsPerRun; step++) {
    const here = constant(step, "int32");
    const row = gather(schedule, here);
    const [seed, ...scalars] = split(row, Array(row.dims[0]).fill(1));
    const parameters = Object.assign({}, ...packs.map((pack, at) => pack.unpack(vectors[at]!)));
    const batch = mapRecord(wholeBatch, (value) => gather(value, here));
    const loss = scalarLoss(spec.loss({ parameters, constants, inputs, batch }));
    losses.push(reshape(loss, [1]));

    // By the packed vectors and not by the parameters cut out of them: a loss may reshape a parameter,
    // and two reshapes in a row are one, which reads the vector past the parameter.
    let gradients = gradient(loss, vectors, reshape(seed!, []));
    if (accumulate) {
      const [keep, apply] = scalars.splice(0, 2);
      gradients = gradients.map((piece, at) => {
        const whole = outputs[nextOf(stateName(at, SUM))] = add(mul(sums[at]!, keep!), piece);
        return mul(whole, apply!);
      });
    }
    if (clipNorm !== undefined) {
      const factor = clipFactor(gradients, clipNorm);
      gradients = gradients.map((whole) => mul(whole, factor));
    }
    const updates = packs.map(({ matrices }, at) =>
      optimizer.update({
        parameter: vectors[at]!,
        gradient: gradients[at]!,
        slots: slots[at]!,
        scalars,
        decay: decays[at]!,
        matrices,
      })
    );
    vectors = updates.map(({ parameter }) => parameter);
    slots = updates.map((update) => [...update.slots]);
  }
  outputs["loss"] = concat(losses);
  packs.forEach((_, at) => {
    outputs[nextOf(stateName(at))] = vectors[at]!;
    optimizer.slots.forEach((slot, index) => {
      outputs[nextOf(stateName(at, slot))] = slots[at]![index]!;
    });
  });
  const state = Object.keys(outputs).filter((name) => name !== "loss")
    .map((name) => name.slice("next.".length));
  return { graph: compileGraph({ name: "train", inputs: fed, outputs }), packs, state };
}

/** The bytes of the `.onnx` file that a trainer runs, with no device involved. */
export function traceSteps(
  spec: TrainerSpec,
  options: ModelOptions = {},
): Uint8Array<ArrayBuffer> {
  return encodeModel(compileSteps(spec).graph, options);
}

/** The batch as it is fed: a piece for each step. */
export function batchSpecs({ batch = {}, stepsPerRun }: TrainerSpec): Record<string, InputSpec> {
  return mapRecord(batch, ({ type, dims }) => ({ type, dims: [stepsPerRun, ...dims] }));
}

function scalarLoss(loss: Value): Value {
  if (loss.rank !== 0) throw shapeError("loss", [loss], "a loss is a scalar; reduceMean() it");
  if (loss.type !== "float32" && loss.type !== "float16") {
    throw new FairlError("graph.type", `The loss is ${loss.type}, not float32`);
  }
  return cast(loss, "float32");
}
