/** Tensors as llama.cpp packs them, widened to float32 (ggml's block formats). */

/** How a kind of tensor is laid out in blocks. */
interface BlockFormat {
  /** Its name in ggml. */
  readonly name: string;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Writes the elements of all blocks. */
  widen(blocks: Blocks, out: Float32Array): void;
}

/** The same bytes read in several ways; every block has an even number of them. */
interface Blocks {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly signed: Int8Array;
  readonly halves: Float16Array;
}

/** Plain numbers: blocks of one. */
function plain(
  name: string,
  bytes: number,
  view: (buffer: ArrayBuffer) => ArrayLike<number>,
): BlockFormat {
  return {
    name,
    elements: 1,
    bytes,
    widen: ({ bytes: { buffer } }, out) => out.set(view(buffer as ArrayBuffer)),
  };
}

/**
 * 32 elements of 4 bits: a scale, an offset where `offset` says so, then 16 bytes whose lower halves
 * are the first 16 elements.
 */
function fourBits(name: string, offset: boolean): BlockFormat {
  const head = offset ? 4 : 2;
  const bytes = head + 16;
  return {
    name,
    elements: 32,
    bytes,
    widen(blocks, out) {
      for (let block = 0; block < blocks.count; block++) {
        const from = block * bytes;
        const scale = blocks.halves[from / 2]!;
        const least = offset ? blocks.halves[from / 2 + 1]! : -8 * scale;
        for (let at = 0; at < 16; at++) {
          const pair = blocks.bytes[from + head + at]!;
          out[32 * block + at] = scale * (pair & 15) + least;
          out[32 * block + 16 + at] = scale * (pair >> 4) + least;
        }
      }
    },
  };
}

const Q8_0: BlockFormat = {
  name: "Q8_0",
  elements: 32,
  bytes: 34,
  widen({ count, signed, halves }, out) {
    for (let block = 0; block < count; block++) {
      const scale = halves[17 * block]!;
      for (let at = 0; at < 32; at++) out[32 * block + at] = scale * signed[34 * block + 2 + at]!;
    }
  },
};

/**
 * 256 elements of 6 bits in two halves: the lower 4 bits, the upper 2, a scale of 8 bits for each 16
 * elements, then the scale of the scales.
 */
const Q6_K: BlockFormat = {
  name: "Q6_K",
  elements: 256,
  bytes: 210,
  widen({ count, bytes, signed, halves }, out) {
    for (let block = 0; block < count; block++) {
      const from = 210 * block;
      const whole = halves[from / 2 + 104]!;
      for (let at = 0; at < 256; at++) {
        // Four runs of 32 share their bytes inside a half.
        const [half, run, lane] = [at >> 7, (at >> 5) & 3, at & 31];
        const low = bytes[from + 64 * half + 32 * (run & 1) + lane]! >> (run & 2 ? 4 : 0) & 15;
        const high = bytes[from + 128 + 32 * half + lane]! >> (2 * run) & 3;
        const scale = whole * signed[from + 192 + (at >> 4)]!;
        out[256 * block + at] = scale * ((high << 4 | low) - 32);
      }
    }
  },
};

/** Formats by ggml's number. */
const FORMATS: Readonly<Record<number, BlockFormat>> = {
  0: plain("F32", 4, (buffer) => new Float32Array(buffer)),
  1: plain("F16", 2, (buffer) => new Float16Array(buffer)),
  2: fourBits("Q4_0", false),
  3: fourBits("Q4_1", true),
  8: Q8_0,
  14: Q6_K,
  30: plain("BF16", 2, bfloat16),
};

/** Names of the formats that can be read. */
export const FORMAT_NAMES: readonly string[] = Object.values(FORMATS).map(({ name }) => name);

/** bfloat16 is the upper half of a float32. */
export function bfloat16(buffer: ArrayBuffer): Float32Array<ArrayBuffer> {
  const upper = Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16);
  return new Float32Array(upper.buffer);
}

/**
 * Bytes that a tensor takes; undefined where its format is unknown or its rows are no whole blocks.
 *
 * @param format ggml's number
 * @param row Elements of a row
 */
export function packedSize(format: number, elements: number, row: number): number | undefined {
  const known = FORMATS[format];
  if (!known || row % known.elements !== 0) return undefined;
  return elements / known.elements * known.bytes;
}

/**
 * The elements of a packed tensor.
 *
 * @param bytes As many as {@linkcode packedSize} says, from the beginning of their buffer
 */
export function dequantise(
  format: number,
  bytes: Uint8Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  const { elements, bytes: size, widen } = FORMATS[format]!;
  const count = bytes.length / size;
  const out = new Float32Array(count * elements);
  const { buffer } = bytes;
  widen({ count, bytes, signed: new Int8Array(buffer), halves: new Float16Array(buffer) }, out);
  return out;
}
