/** Eight-bit integers for linear layers: a scale for each column of weights, a fixed range of inputs. */

/** The smallest and the largest value that an input is expected to take; others are clipped. */
export type Range = readonly [least: number, most: number];

/**
 * The largest weight as an integer: 7 bits. Processors without VNNI add pairs of products in 16
 * bits, and 2 * 255 * 64 is the most that fits.
 */
const LARGEST = 64;

/**
 * Rounds a kernel [inputs, outputs] to integers, symmetrically, each output with its own scale.
 *
 * @returns integers of the kernel's shape, and the scales [outputs]: kernel = integer * scale
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { quantiseColumns } from "./quantise.ts";
 * const { values, scales } = quantiseColumns(Float32Array.of(1, 10, -0.5, 5), 2);
 * assert(values.join() === "64,64,-32,32" && scales[1] === Math.fround(10 / 64));
 * ```
 */
export function quantiseColumns(
  kernel: Float32Array,
  outputs: number,
): { values: Int8Array<ArrayBuffer>; scales: Float32Array<ArrayBuffer> } {
  const scales = new Float32Array(outputs);
  kernel.forEach((value, index) => {
    const column = index % outputs;
    scales[column] = Math.max(scales[column]!, Math.abs(value) / LARGEST);
  });
  const values = Int8Array.from(kernel, (value, index) => {
    const scale = scales[index % outputs]!;
    return scale === 0 ? 0 : Math.round(value / scale);
  });
  return { values, scales };
}

/** The scale and the zero point that lay a range, and zero, onto 0 ... 255. */
export function quantiseActivation([least, most]: Range): { scale: number; zero: number } {
  const low = Math.min(0, least);
  const scale = (Math.max(0, most) - low) / 255;
  return { scale, zero: Math.round(-low / scale) };
}
