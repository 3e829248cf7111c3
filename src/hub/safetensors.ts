/** Reads and writes safetensors files: a JSON head, then tensors end to end. */
import { z } from "zod";
import { FairlError, messageOf } from "../base/mod.ts";
import { type Checkpoint, readAt, type WeightTensor } from "./checkpoint.ts";
import { bfloat16 } from "./quantised.ts";

const Head = z.record(
  z.string(),
  z.object({
    dtype: z.string(),
    shape: z.array(z.int().min(0)),
    data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
  }),
);

const CODE = "hub.safetensors";
/** Bytes of an element of the types that are read. */
const BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Where a head says that each tensor is. */
type Places = z.infer<typeof Head>;

/**
 * The float tensors of a file by name: F32, and F16 and BF16 widened to float32. Others are left out.
 *
 * @throws FairlError `hub.safetensors` when the bytes are no safetensors file
 */
export function readSafetensors(file: Uint8Array<ArrayBuffer>): Map<string, WeightTensor> {
  const size = headSize(file, file.length);
  const tensors = new Map<string, WeightTensor>();
  for (
    const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(
      parsedHead(file.subarray(8, size), file.length - size),
    )
  ) {
    // A copy begins at its buffer's start, so that any element size is aligned.
    const { buffer } = file.slice(size + from, size + to);
    const data = widened(dtype, buffer);
    if (data) tensors.set(name, { dims: shape, data });
  }
  return tensors;
}

/**
 * Opens a file, of which one tensor is read at a time: F32, and F16 and BF16 widened to float32.
 *
 * @throws FairlError `hub.safetensors` when it is no safetensors file or ends early
 */
export async function openSafetensors(path: string): Promise<Checkpoint> {
  const file = await Deno.open(path);
  try {
    const whole = (await file.stat()).size;
    const size = headSize(await readAt(file, 0, Math.min(8, whole), CODE), whole);
    const head = parsedHead(await readAt(file, 8, size - 8, CODE), whole - size);
    return {
      names: Object.keys(head),
      async read(name) {
        const place = head[name];
        if (!place) return undefined;
        const { dtype, shape, data_offsets: [from, to] } = place;
        const { buffer } = await readAt(file, size + from, to - from, CODE);
        const data = widened(dtype, buffer);
        return data && { dims: shape, data };
      },
      [Symbol.dispose]: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

const Index = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * The files that hold the tensors of a sharded checkpoint.
 *
 * @param index Content of its model.safetensors.index.json
 * @throws FairlError `hub.safetensors` when it is none, or names files outside the model's folder
 */
export function shardsOf(index: string): string[] {
  let parsed: z.infer<typeof Index>;
  try {
    parsed = Index.parse(JSON.parse(index));
  } catch (cause) {
    const reason = messageOf(cause).split("\n")[0];
    throw new FairlError(CODE, `This is no index of safetensors files: ${reason}`, { cause });
  }
  const shards = [...new Set(Object.values(parsed.weight_map))].sort();
  const foreign = shards.find((name) => !/^[\w-][\w.-]*\.safetensors$/.test(name));
  if (foreign !== undefined || shards.length === 0) {
    throw new FairlError(CODE, `The index names the file "${foreign ?? ""}"`);
  }
  return shards;
}

/** Several files as one checkpoint. */
export async function openShards(paths: readonly string[]): Promise<Checkpoint> {
  using opened = new DisposableStack();
  const holders = new Map<string, Checkpoint>();
  for (const path of paths) {
    const shard = opened.use(await openSafetensors(path));
    for (const name of shard.names) holders.set(name, shard);
  }
  const kept = opened.move();
  return {
    names: [...holders.keys()],
    read: async (name) => await holders.get(name)?.read(name),
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** Bytes before the tensors. */
function headSize(file: Uint8Array, whole: number): number {
  const length = file.length < 8
    ? 0n
    : new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true);
  if (length === 0n || length > BigInt(whole - 8)) {
    throw new FairlError(CODE, "This is no safetensors file: its head does not fit into it");
  }
  return 8 + Number(length);
}

function parsedHead(text: Uint8Array, rest: number): Places {
  let head: Places;
  try {
    const { __metadata__: _, ...places } = JSON.parse(new TextDecoder().decode(text));
    head = Head.parse(places);
  } catch (cause) {
    const reason = messageOf(cause).split("\n")[0];
    throw new FairlError(CODE, `This is no safetensors file: ${reason}`, { cause });
  }
  for (const [name, { data_offsets: [from, to], dtype, shape }] of Object.entries(head)) {
    const bytes = shape.reduce((product, dim) => product * dim, BYTES[dtype] ?? NaN);
    if (to > rest || to < from || (bytes >= 0 && bytes !== to - from)) {
      throw new FairlError(CODE, `The file ends inside the tensor ${name}`);
    }
  }
  return head;
}

function widened(dtype: string, buffer: ArrayBuffer): Float32Array<ArrayBuffer> | undefined {
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F16") return Float32Array.from(new Float16Array(buffer));
  return dtype === "BF16" ? bfloat16(buffer) : undefined;
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
