/** The training compiler: a loss in TypeScript becomes one ONNX model that trains on each device. */
export { gradient } from "./gradient.ts";
export {
  encodeModel,
  type ModelOptions,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValue,
} from "./onnx.ts";
export * from "./ops/mod.ts";
export {
  adamW,
  type AdamWOptions,
  muon,
  type MuonOptions,
  type Optimizer,
  sgd,
  type SgdOptions,
  type UpdateStep,
} from "./optimizer.ts";
export type { Matrices, ParameterSpec } from "./packing.ts";
export { Program, type ProgramSpec, traceModel } from "./program.ts";
export {
  constantRate,
  cosineRate,
  type DecayOptions,
  linearRate,
  ratesOf,
  type Schedule,
} from "./schedule.ts";
export type { InputSpec } from "./session.ts";
export { type LossValues, traceSteps, type TrainerSpec } from "./step.ts";
export { type AccumulatedStep, Trainer, type TrainerRun, type TrainerState } from "./trainer.ts";
export {
  constant,
  type GradientCall,
  type Node,
  type OnnxForm,
  type Operand,
  type Operator,
  type Shape,
  type Source,
  Value,
} from "./value.ts";
