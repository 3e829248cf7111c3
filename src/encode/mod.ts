/** Text to features: encoders, their tokenizers, and the cache of what they computed. */
export { BatchingEncoder, type EncodeOptions, type Encoder } from "./encoder.ts";
export { FeatureCache, type FeatureCacheKey } from "./feature_cache.ts";
export type { TextModel } from "./model.ts";
export { type EncoderOptions, openEncoder } from "./open.ts";
