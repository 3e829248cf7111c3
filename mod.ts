/**
 * fairl finds the reward that alignment left behind in a language model: it takes preference pairs,
 * extracts rewards with IRL and Failure-Aware IRL (arXiv 2510.06092), and says how far they are from a
 * reference (STARC). The training compiler underneath can be used by itself.
 *
 * @module
 */

/** Errors with stable codes, seeded randomness, progress. */
export { FairlError, type Progress, Random } from "./src/base/mod.ts";
/** Devices, sessions and tensors: the room that touches onnxruntime. */
export {
  chooseDevice,
  type Device,
  type DeviceInfo,
  type DeviceRequest,
  type DeviceTensor,
  type ElementArrays,
  type ElementType,
  type HostTensor,
  listDevices,
  Runtime,
  type RuntimeOptions,
  scalar,
  Session,
  type SessionOptions,
  type Tensor,
  tensor,
} from "./src/runtime/mod.ts";
/** The training compiler: a loss in TypeScript becomes one ONNX model that trains on each device. */
export * as graph from "./src/graph/mod.ts";
/** Texts to features. */
export { type Encoder, type EncoderOptions, openEncoder } from "./src/encode/mod.ts";
/** Preference pairs: files, named sources, splits, synthetic worlds, artefact baselines. */
export * as pairs from "./src/pairs/mod.ts";
/** Figures on held-out data with bootstrap intervals. */
export * as metrics from "./src/metrics/mod.ts";
/** Distances between rewards: STARC, EPIC and DARD, in bandits and finite MDPs. */
export * as starc from "./src/starc/mod.ts";
/** The reward artefact: save, load, score, evaluate; reference rewards. */
export * as reward from "./src/reward/mod.ts";
/** IRL and FA-IRL. */
export * as irl from "./src/irl/mod.ts";
/** Causal language models: decoders as graphs, tokenizers, sampling, training, LoRA. */
export * as lm from "./src/lm/mod.ts";
/** Policy optimisation of a language model against any reward, and the implicit reward of two models. */
export * as rlhf from "./src/rlhf/mod.ts";
/** Tables and plots. */
export * as report from "./src/report/mod.ts";
