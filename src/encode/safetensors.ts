/** Reads safetensors files: a JSON head, then tensors end to end. */
import { z } from "zod";

const Head = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z.array(z.number().int()),
    data_offsets: z.tuple([z.number().int(), z.number().int()]),
  }),
);

/** A tensor of a file, as float32. */
export interface WeightTensor {
  /** Its shape. */
  readonly dims: readonly number[];
  /** Its elements, row-major. */
  readonly data: Float32Array<ArrayBuffer>;
}

/**
 * The float tensors of a file by name, F16 widened to float32. Others are left out.
 *
 * @throws when the bytes are no safetensors file
 */
export function readSafetensors(file: Uint8Array<ArrayBuffer>): Map<string, WeightTensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const { __metadata__: _, ...head } = JSON.parse(
    new TextDecoder().decode(file.subarray(8, start)),
  );
  const tensors = new Map<string, WeightTensor>();
  for (
    const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(Head.parse(head))
  ) {
    // A copy begins at its buffer's start, so that any element size is aligned.
    const { buffer } = file.slice(start + from, start + to);
    if (dtype === "F32") tensors.set(name, { dims: shape, data: new Float32Array(buffer) });
    if (dtype === "F16") {
      tensors.set(name, { dims: shape, data: Float32Array.from(new Float16Array(buffer)) });
    }
  }
  return tensors;
}
