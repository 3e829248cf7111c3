/** Reads and writes safetensors files: a JSON head, then tensors end to end. */
import { z } from "zod";
import { FairlError, messageOf } from "../base/mod.ts";

const Head = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z.array(z.int().min(0)),
    data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
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
 * The float tensors of a file by name: F32, and F16 and BF16 widened to float32. Others are left out.
 *
 * @throws FairlError `hub.safetensors` when the bytes are no safetensors file
 */
export function readSafetensors(file: Uint8Array<ArrayBuffer>): Map<string, WeightTensor> {
  const { head, start } = headOf(file);
  const tensors = new Map<string, WeightTensor>();
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(head)) {
    if (start + to > file.length || to < from) {
      throw new FairlError("hub.safetensors", `The file ends inside the tensor ${name}`);
    }
    // A copy begins at its buffer's start, so that any element size is aligned.
    const { buffer } = file.slice(start + from, start + to);
    const data = widened(dtype, buffer);
    if (data) tensors.set(name, { dims: shape, data });
  }
  return tensors;
}

function headOf(file: Uint8Array<ArrayBuffer>): { head: z.infer<typeof Head>; start: number } {
  try {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const start = 8 + Number(view.getBigUint64(0, true));
    const { __metadata__: _, ...head } = JSON.parse(
      new TextDecoder().decode(file.subarray(8, start)),
    );
    return { head: Head.parse(head), start };
  } catch (cause) {
    const reason = messageOf(cause).split("\n")[0];
    throw new FairlError("hub.safetensors", `This is no safetensors file: ${reason}`, { cause });
  }
}

function widened(dtype: string, buffer: ArrayBuffer): Float32Array<ArrayBuffer> | undefined {
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F16") return Float32Array.from(new Float16Array(buffer));
  if (dtype !== "BF16") return undefined;
  // The upper half of a float32.
  const upper = Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16);
  return new Float32Array(upper.buffer);
}

/**
 * The bytes of a file. The same tensors give the same bytes, in whatever order they come.
 *
 * @param dtype How elements are kept
 * @param metadata Free texts for its head
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { readSafetensors, writeSafetensors } from "./safetensors.ts";
 * const file = writeSafetensors({ w: { dims: [2], data: Float32Array.of(1, -0.5) } }, "F16");
 * assert(readSafetensors(file).get("w")!.data.join() === "1,-0.5");
 * ```
 */
export function writeSafetensors(
  tensors: Readonly<Record<string, WeightTensor>>,
  dtype: "F32" | "F16",
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const names = Object.keys(tensors).sort();
  const size = dtype === "F32" ? 4 : 2;
  const head: Record<string, unknown> = { __metadata__: { format: "pt", ...metadata } };
  let end = 0;
  for (const name of names) {
    const { dims, data } = tensors[name]!;
    const from = end;
    end += data.length * size;
    head[name] = { dtype, shape: dims, data_offsets: [from, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(head));
  // Tensors begin at a multiple of eight.
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(start + end).fill(0x20, 8, start);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(text, 8);
  let at = start;
  for (const name of names) {
    const { data } = tensors[name]!;
    const elements = dtype === "F32" ? data : Float16Array.from(data);
    file.set(new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength), at);
    at += elements.byteLength;
  }
  return file;
}
