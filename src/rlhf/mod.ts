/** Policy optimisation: a language model moves towards a reward, watched on the way. */
export { groupNormalised, leaveOneOut, whitened } from "./advantages.ts";
export { align, type Alignment, type AlignmentTools } from "./align.ts";
export {
  type Algorithm,
  ALGORITHMS,
  type AlignmentSettings,
  DEFAULT_ALIGNMENT,
} from "./settings.ts";
export { type PreferenceOptions, PreferenceTrainer } from "./dpo.ts";
export { ImplicitReward, type PromptedText } from "./implicit.ts";
export {
  type PolicyOptions,
  PolicyTrainer,
  type ReadingOptions,
  TokenReader,
  writtenLogs,
} from "./policy.ts";
export {
  httpReward,
  type HttpRewardOptions,
  randomReward,
  type RewardFunction,
  standardised,
} from "./rewards.ts";
export {
  layOut,
  microBatches,
  perToken,
  type Sequence,
  type SequenceInput,
  type SequenceShape,
  sequenceSpecs,
} from "./sequences.ts";
export { collapse, type EpochLog, textFigures } from "./watch.ts";
export { generalisedAdvantages, ValueHead, type ValueState } from "./value.ts";
export {
  DEFAULT_PAIR_SAMPLING,
  type PairSampling,
  type SampledPair,
  samplePairs,
} from "./sample_pairs.ts";
