/** The reward artefact: its head, its card, scoring, reference rewards, evaluation. */
export { type Artefact, type ArtefactParts, loadArtefact, saveArtefact } from "./artefact.ts";
export { type Card, type CardInterval, type CardScaling, GIVEN_FEATURES } from "./card.ts";
export {
  calibrate,
  type Calibration,
  evaluate,
  type EvaluationOptions,
  type Figure,
  FIGURES,
  type Figures,
  type JudgedTexts,
  judgedTexts,
  type Judgement,
  trainingThreshold,
} from "./evaluate.ts";
export { evaluateHead, headModel, type RewardHead, type RewardPath } from "./head.ts";
export { fitLogistic, type LogisticModel } from "./logistic.ts";
export {
  columnReference,
  davidsonReference,
  lexiconReference,
  type TextScorer,
} from "./reference.ts";
export { type RewardOptions, type Scores, TextReward } from "./score.ts";
export { fitToxicity, toxicityReward, type ToxicityWeights } from "./toxicity.ts";
