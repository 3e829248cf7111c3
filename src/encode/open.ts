/** Opens an encoder by name. */
import { FairlError } from "../base/mod.ts";
import type { DeviceRequest } from "../runtime/mod.ts";
import { BatchingEncoder, type Encoder } from "./encoder.ts";
import { FeatureCache } from "./feature_cache.ts";
import type { TextModel } from "./model.ts";

/** How an encoder is opened. */
export interface EncoderOptions {
  /** The device, `auto` by default. */
  device?: DeviceRequest;
  /** Threads in one run, all cores by default. */
  threads?: number;
  /** The folder of the feature cache and of downloaded models. Nothing is kept without one. */
  cache?: string;
  /** A folder with hub models as `owner/name/...`. */
  mirror?: string;
}

/**
 * Opens a sentence encoder.
 *
 * @param name `use-lite` (Universal Sentence Encoder lite), `use-lite-int8` (the same in 8 bits),
 *   a model of the Hugging Face hub as `owner/name`, or a folder laid out like one, as `./dir`
 * @throws FairlError `encode.name` when there is no such encoder
 * @throws FairlError `encode.missing` when its files are not there, `hub.download` or
 *   `hub.wrong-hash` when they can not be fetched
 * @throws FairlError `encode.model` when a model's files are not what they should be
 * @throws FairlError `encode.cache` when the cache's file is damaged
 *
 * @example Two texts
 * ```ts
 * import { assert } from "@std/assert";
 * import { openEncoder } from "./open.ts";
 * await using encoder = await openEncoder("use-lite", { device: "wasm" });
 * const features = await encoder.encode(["Thank you!", "Go away."]);
 * assert(features.length === 2 * encoder.dimension);
 * ```
 */
export async function openEncoder(name: string, options: EncoderOptions = {}): Promise<Encoder> {
  const model = await openModel(name, options);
  if (options.cache === undefined) return new BatchingEncoder(model);
  try {
    return new BatchingEncoder(model, await FeatureCache.open(options.cache, model));
  } catch (error) {
    await model[Symbol.asyncDispose]();
    throw error;
  }
}

async function openModel(name: string, options: EncoderOptions): Promise<TextModel> {
  const { device = "auto", threads } = options;
  if (name === "use-lite" || name === "use-lite-int8") {
    const { openUseLite } = await import("./use_lite.ts");
    return await openUseLite(name === "use-lite" ? "float32" : "int8", device, threads);
  }
  const { folderFiles, hubFiles, isHubName } = await import("../hub/mod.ts");
  const { openHubModel } = await import("./hub.ts");
  if (/^(\.{0,2}[/\\]|[A-Za-z]:)/.test(name)) {
    return await openHubModel(folderFiles(name), device, threads);
  }
  if (isHubName(name)) {
    // Without a cache nothing is kept.
    const cache = options.cache ?? await Deno.makeTempDir({ prefix: "fairl-" });
    try {
      const files = await hubFiles(name, { ...options, cache });
      return await openHubModel(files, device, threads);
    } finally {
      if (options.cache === undefined) await Deno.remove(cache, { recursive: true });
    }
  }
  throw new FairlError(
    "encode.name",
    `There is no encoder ${name}; use use-lite, use-lite-int8, a hub model as owner/name, or ./folder`,
  );
}
