/** Figures on held-out data and how sure they are: ranking, calibration, agreement, the bootstrap. */
export {
  bootstrap,
  type BootstrapOptions,
  clusterIds,
  type Interval,
  type Statistic,
} from "./bootstrap.ts";
export {
  type Binary,
  brier,
  ece,
  plattScaling,
  probabilities,
  reliabilityCurve,
  type Scaling,
  temperatureScaling,
} from "./calibration.ts";
export { accuracy, f1, midpointThreshold, pairAccuracy } from "./decisions.ts";
export { type Histogram, histogram, quantile, quantileOf } from "./distribution.ts";
export { type McNemar, mcnemar, pearson, spearman } from "./agreement.ts";
export {
  averagePrecision,
  Ranked,
  type ReliabilityBin,
  rocAuc,
  rocCurve,
  type RocPoint,
} from "./ranked.ts";
