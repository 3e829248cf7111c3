/** Causal language models: their graphs, weights, tokenizers, training and sampling. */
export { adapterFiles, readAdapter, type SavedAdapter } from "./adapter.ts";
export { BOS, EOS, trainBpe } from "./bpe.ts";
export {
  configJson,
  type DecoderConfig,
  type DecoderFamily,
  type DecoderWeights,
  initialWeights,
  isLayerMatrix,
  parseConfig,
  readDecoderWeights,
  weightShapes,
} from "./config.ts";
export {
  type Adapter,
  decoderLogits,
  type DecoderParts,
  decoderStates,
  embeddingName,
  outputName,
  tokenLogProbabilities,
} from "./decoder.ts";
export { DecoderTrainer } from "./decoder_trainer.ts";
export {
  type Generated,
  type GenerationSettings,
  Generator,
  type GeneratorOptions,
} from "./generate.ts";
export { loadGguf } from "./gguf.ts";
export { type LanguageModel, loadModel, type SavedModel, saveModel } from "./model_folder.ts";
export { type ReadingInputs, TextReader } from "./reader.ts";
export { Sampler, type SamplingSettings } from "./sampling.ts";
export {
  LanguageTrainer,
  type LanguageTrainerOptions,
  type PackedRows,
  packRows,
  perplexity,
} from "./train.ts";
export { fullWeights, type LoraSettings, loraWeights, type Trainable } from "./trainable.ts";
export { openTokenizer, textStart, type TextTokenizer } from "./tokenizer.ts";
