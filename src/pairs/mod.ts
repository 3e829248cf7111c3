/** Preference pairs: files and named sources, splits, worlds with a known reward, artefact baselines. */
export { type Comment, loadComments, plainComment } from "./comments.ts";
export {
  type Baseline,
  BASELINES,
  casingBaseline,
  lengthBaseline,
  orderAccuracy,
  type Scorer,
  wordsBaseline,
} from "./baselines.ts";
export { davidsonPairs, loadDavidson, type VotedText } from "./davidson.ts";
export {
  type BaselineResult,
  inspectPairs,
  inspectStream,
  type LengthStatistics,
  type PairsReport,
} from "./inspect.ts";
export type { Progress } from "../base/mod.ts";
export type { PairCounts } from "./ledger.ts";
export { type LoadOptions, loadPairs, NAMED_PAIRS } from "./load.ts";
export { loadMixture, type Mixture, type MixtureOptions, mixturePairs } from "./mixture.ts";
export { normaliseText } from "./normalise.ts";
export { normaliseTweet } from "./tweet.ts";
export {
  type DetoxedSentence,
  detoxPairs,
  loadParadetox,
  type ParadetoxOptions,
} from "./paradetox.ts";
export { readPairs } from "./read.ts";
export {
  PAIR_FORMATS,
  type PairFormat,
  type ReadOptions,
  readRows,
  type Row,
  type RowProblem,
} from "./rows.ts";
export { PAIR_KINDS, type PairKind, pairOf, type PreferencePair } from "./schema.ts";
export { type LabelledText, type PairSet, pairSet, textsOf, type Truth } from "./set.ts";
export {
  defaultCache,
  type FetchedSource,
  type FetchOptions,
  fetchSource,
  type Source,
  type SourceName,
  SOURCES,
} from "./sources.ts";
export { componentsOf, type PairSplit, type SplitOptions, splitPairs } from "./split.ts";
export { type SyntheticOptions, syntheticPairs, type SyntheticPairSet } from "./synthetic.ts";
