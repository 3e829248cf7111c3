/** Rows of texts in the making, with the keys and values of what was read of each. */
import type { Runtime } from "../runtime/mod.ts";
import type { DecoderConfig, DecoderWeights } from "./config.ts";
import { openDeviceRows } from "./device_rows.ts";
import { canFuse } from "./fused.ts";
import { openHostRows } from "./host_rows.ts";

/** What was read of a prompt. */
export interface ReadPrompt {
  /** Its tokens. */
  readonly length: number;
  /** Queries, keys and values of each layer, `[length, features]`. */
  readonly states: readonly Float32Array[];
  /** Probabilities of what follows, one for each token of the vocabulary. */
  readonly probabilities: Float32Array;
}

/** Texts that are written at the same time. */
export interface DecodingRows {
  /**
   * Feeds one token to each of the first rows.
   *
   * @param tokens One for each row that is in use
   * @param places Tokens that were fed to each row before
   * @returns probabilities of what follows, row by row
   */
  step(tokens: Int32Array<ArrayBuffer>, places: Int32Array<ArrayBuffer>): Promise<Float32Array>;
  /** Gives up what lies on the device. */
  dispose(): void;
}

/** Rows that take whole prompts, and of which the last can take an empty one's place. */
export interface PromptRows extends DecodingRows {
  /** Reads prompts of one length. */
  read(prompts: readonly Int32Array[]): Promise<ReadPrompt[]>;
  /** Starts a row with a prompt that was read. */
  put(row: number, prompt: ReadPrompt): void;
  /** Copies a row over another. */
  move(from: number, to: number): void;
}

/** A decoder that is ready to write. */
export interface Decoding extends AsyncDisposable {
  /** Empty rows for some texts; the logits are multiplied by the scale. */
  start(scale: number): DecodingRows | PromptRows;
}

/** What rows are made of. */
export interface RowsSpec {
  /** The decoder's shape. */
  readonly config: DecoderConfig;
  /** Its weights. */
  readonly weights: DecoderWeights;
  /** Texts at a time, at most. */
  readonly rows: number;
  /** Longest text, in tokens. */
  readonly capacity: number;
}

/** Compiles a decoder with fixed weights. */
export function openDecoding(runtime: Runtime, spec: RowsSpec): Promise<Decoding> {
  return runtime.device !== "webgpu" && canFuse(spec.config)
    ? openHostRows(runtime, spec)
    : openDeviceRows(runtime, spec);
}
