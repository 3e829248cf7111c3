/** IRL and FA-IRL: from the features of preference pairs to rewards that explain them. */
export { type BaseFit, type BaseSettings } from "./base_path.ts";
export { type CorrectionFit, type CorrectionSettings, type RoundLog } from "./correction.ts";
export { type PairFeatures } from "./data.ts";
export {
  extract,
  type Extraction,
  type ExtractionData,
  type ExtractionTools,
  type TrainingLine,
} from "./extract.ts";
export {
  CURRICULA,
  type Curriculum,
  failuresBelow,
  type FailureSelector,
  type FailureSet,
  noSelection,
} from "./failures.ts";
export { type Objective, OBJECTIVES } from "./objectives.ts";
export { type PathShape, type PathStart, type PathWeights } from "./path.ts";
export { asGoodAs, calibratedLosses, separation } from "./separation.ts";
export { defaultSettings, type ExtractionSettings, type Method, METHODS } from "./settings.ts";
export { keptIn, type Stages, unkept } from "./stages.ts";
export { distil } from "./distil.ts";
