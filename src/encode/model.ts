/** What an encoder is made of: a tokenizer and a network that takes texts of equal length. */
import type { Device } from "../runtime/mod.ts";

/**
 * A sentence encoder without the batching around it. Plug another one in by implementing this and
 * handing it to `BatchingEncoder`.
 */
export interface TextModel extends AsyncDisposable {
  /** Name, revision or content hash, and precision: features of equal ids are interchangeable. */
  readonly id: string;
  /** Length of an embedding. */
  readonly dimension: number;
  /** Where it runs. */
  readonly device: Device;
  /** Tokens of one run that keep the device busy without holding up an abort for long. */
  readonly batchTokens: number;
  /** The ids of a text, cut off at the length that the model reads. May be empty. */
  tokenize(text: string): Int32Array<ArrayBuffer>;
  /**
   * Embeds texts of equal length.
   *
   * @param ids Token ids [texts, tokens], row-major
   * @param tokens Tokens of each text
   * @returns embeddings [texts, dimension], row-major
   */
  embed(ids: Int32Array<ArrayBuffer>, tokens: number): Promise<Float32Array>;
}
