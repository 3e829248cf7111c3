/** The reward artefact: its head, its card, scoring, reference rewards, evaluation. */
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
