/** Checkpoints on disk, of which one tensor is read at a time. */
import { FairlError } from "../base/mod.ts";

/** A tensor of a file, as float32. */
export interface WeightTensor {
  /** Its shape. */
  readonly dims: readonly number[];
  /** Its elements, row-major. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** Tensors by name; the files stay open until it is disposed of. */
export interface Checkpoint extends Disposable {
  /** Names of the tensors that can be read. */
  readonly names: readonly string[];
  /** A tensor's shape and elements; undefined where there is none of that name. */
  read(name: string): Promise<WeightTensor | undefined>;
}

/**
 * A stretch of a file.
 *
 * @param code Of the error
 * @throws FairlError where the file ends before it
 */
export async function readAt(
  file: Deno.FsFile,
  from: number,
  size: number,
  code: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  await file.seek(from, Deno.SeekMode.Start);
  for (let at = 0; at < size;) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) throw new FairlError(code, `The file ends ${size - at} bytes too early`);
    at += count;
  }
  return bytes;
}
