/** Policy optimisation: a language model moves towards a reward, watched on the way. */
export { groupNormalised, leaveOneOut } from "./advantages.ts";
export {
  type Algorithm,
  ALGORITHMS,
  align,
  type Alignment,
  type AlignmentSettings,
  type AlignmentTools,
  DEFAULT_ALIGNMENT,
  type TextReward,
} from "./align.ts";
export { type PolicyOptions, PolicyTrainer, TokenReader } from "./policy.ts";
export {
  layOut,
  perToken,
  type Sequence,
  type SequenceInput,
  type SequenceShape,
  sequenceSpecs,
} from "./sequences.ts";
export { collapse, type EpochLog, textFigures } from "./watch.ts";
export {
  DEFAULT_PAIR_SAMPLING,
  type PairSampling,
  type SampledPair,
  samplePairs,
} from "./sample_pairs.ts";
