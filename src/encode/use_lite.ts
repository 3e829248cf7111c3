/** Universal Sentence Encoder lite as a text model on any device. */
import { FairlError } from "../base/mod.ts";
import { type DeviceRequest, Runtime, type Session, tensor } from "../runtime/mod.ts";
import type { TextModel } from "./model.ts";
import { UnigramTokenizer } from "./unigram.ts";
import { readUseLite } from "./use_lite_files.ts";
import {
  USE_LITE_DIMENSION,
  USE_LITE_RANGES,
  USE_LITE_TOKENS,
  useLiteModel,
  useLiteNothing,
} from "./use_lite_graph.ts";

/**
 * Opens Universal Sentence Encoder lite (Cer et al. 2018, arXiv 1803.11175; Apache-2.0).
 *
 * It reads the first 128 tokens of a text, about 90 English words.
 *
 * @throws FairlError `encode.missing` when its npm package can be neither found nor fetched
 * @throws FairlError `encode.precision` for int8 on WebGPU
 * @throws FairlError `runtime.unavailable` when the device is not there
 */
export async function openUseLite(
  precision: "float32" | "int8",
  device: DeviceRequest,
  threads?: number,
): Promise<TextModel> {
  const files = await readUseLite();
  const runtime = await Runtime.open(device, threads === undefined ? {} : { threads });
  let session: Session;
  try {
    if (precision === "int8" && runtime.device === "webgpu") {
      throw new FairlError(
        "encode.precision",
        "use-lite-int8 has no integer products on webgpu; take use-lite, or the device native or wasm",
      );
    }
    session = await runtime.session(
      useLiteModel(files, precision === "int8" ? USE_LITE_RANGES : {}),
    );
  } catch (error) {
    await runtime[Symbol.asyncDispose]();
    throw error;
  }
  const tokenizer = new UnigramTokenizer(files.vocabulary);
  const empty = useLiteNothing(files);
  return {
    id: `use-lite@${files.revision}:${precision}`,
    dimension: USE_LITE_DIMENSION,
    device: runtime.device,
    batchTokens: runtime.software ? 64 : 512,
    tokenize: (text) => tokenizer.encode(text).slice(0, USE_LITE_TOKENS),
    async embed(ids, tokens) {
      if (tokens === 0) return empty;
      // A product with one row takes another path than one with more, and rounds otherwise. With a
      // twin beside it, a text has the same features alone and among others.
      const alone = ids.length === tokens;
      const rows = alone ? Int32Array.from([...ids, ...ids]) : ids;
      const feeds = { ids: tensor("int32", [rows.length / tokens, tokens], rows) };
      const { embedding } = await session.run(feeds);
      const features = (await runtime.read(embedding!)).data as Float32Array;
      return alone ? features.subarray(0, USE_LITE_DIMENSION) : features;
    },
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
}
