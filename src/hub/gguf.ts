/** Reads GGUF files, as llama.cpp writes them: the head with @huggingface/gguf, tensors one at a time. */
import { FairlError, messageOf } from "../base/mod.ts";
import { type Checkpoint, readAt } from "./checkpoint.ts";
import { dequantise, FORMAT_NAMES, packedSize } from "./quantised.ts";

/** An open GGUF file. */
export interface GgufFile extends Checkpoint {
  /** What its head says, by key. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

const CODE = "hub.gguf";

/**
 * Opens a GGUF file. Tensors of the formats F32, F16, BF16, Q4_0, Q4_1, Q6_K and Q8_0 are read as
 * float32; their sizes are in the order of other checkpoints, rows first.
 *
 * @throws FairlError `hub.gguf` when it is no GGUF file or ends early; from `read`, when a tensor is of
 * another format
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const file = await Deno.open(path);
  try {
    return await gguf(path, file);
  } catch (error) {
    file.close();
    throw error;
  }
}

async function gguf(path: string, file: Deno.FsFile): Promise<GgufFile> {
  const { size } = await file.stat();
  const head = await headOf(path);
  const start = Number(head.tensorDataOffset);
  // Past its end the parser reads zeros.
  if (start > size) throw new FairlError(CODE, `${path} ends inside its head`);
  if (!head.littleEndian) {
    throw new FairlError(CODE, `${path} is big-endian; only little-endian files can be read`);
  }
  const infos = new Map(head.tensorInfos.map((info) => [info.name, info]));
  return {
    metadata: head.metadata as Record<string, unknown>,
    names: [...infos.keys()],
    async read(name) {
      const info = infos.get(name);
      if (!info) return undefined;
      // GGUF names the size that moves fastest first.
      const dims = info.shape.map(Number).reverse();
      const elements = dims.reduce((product, dim) => product * dim, 1);
      const bytes = packedSize(info.dtype, elements, dims.at(-1) ?? 1);
      if (bytes === undefined) {
        throw new FairlError(
          CODE,
          `${name} of ${path} has ggml's format ${info.dtype}; those that can be read are ${
            FORMAT_NAMES.join(", ")
          }`,
        );
      }
      const from = start + Number(info.offset);
      if (from + bytes > size) {
        throw new FairlError(CODE, `${path} ends inside the tensor ${name}`);
      }
      return { dims, data: dequantise(info.dtype, await readAt(file, from, bytes, CODE)) };
    },
    [Symbol.dispose]: () => file.close(),
  };
}

async function headOf(path: string) {
  const { gguf } = await import("@huggingface/gguf");
  try {
    return await gguf(path, { allowLocalFile: true });
  } catch (cause) {
    const reason = messageOf(cause).split("\n")[0];
    throw new FairlError(CODE, `${path} is no GGUF file: ${reason}`, { cause });
  }
}
