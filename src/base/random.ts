/** Seeded randomness: one seed fixes data order, initial weights, sampling and bootstrap draws. */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/**
 * A stream of random numbers that a seed and a label determine. Streams with different labels are
 * independent, so adding a draw in one place does not move the numbers in another.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Random } from "./random.ts";
 * const a = new Random(0, "split").permutation(5);
 * const b = new Random(0, "split").permutation(5);
 * assert(a.join() === b.join());
 * ```
 */
export class Random {
  readonly #seed: number;
  readonly #generator: ReturnType<typeof xoroshiro128plus>;
  #spare: number | undefined;

  /**
   * Starts a stream.
   *
   * @param seed Any integer
   * @param label What the stream is for
   */
  constructor(seed: number, label = "") {
    this.#seed = mix(seed, label);
    this.#generator = xoroshiro128plus(this.#seed);
  }

  /** A new stream that depends on this one's seed and the label, not on what was drawn so far. */
  fork(label: string): Random {
    return new Random(this.#seed, label);
  }

  /** A number in [0, 1). */
  uniform(): number {
    return uniformFloat64(this.#generator);
  }

  /** An integer in [0, below). */
  integer(below: number): number {
    return uniformInt(this.#generator, 0, below - 1);
  }

  /** A draw from the normal distribution with mean 0 and deviation 1 (Box and Muller). */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** `length` normal draws, times `scale`. */
  normals(length: number, scale = 1): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length }, () => scale * this.normal());
  }

  /** Shuffles in place (Fisher and Yates) and returns the same array. */
  shuffle<T>(values: T[]): T[];
  /** Shuffles integers in place and returns the same array. */
  shuffle(values: Int32Array): Int32Array;
  shuffle<T>(values: T[] | Int32Array): T[] | Int32Array {
    for (let last = values.length - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      const kept = values[last]!;
      values[last] = values[other]!;
      values[other] = kept;
    }
    return values;
  }

  /** The integers 0 ... length - 1 in random order. */
  permutation(length: number): Int32Array {
    return this.shuffle(Int32Array.from({ length }, (_, index) => index));
  }
}

/** Folds a label into a seed (FNV-1a over the label's UTF-16 units, started from the seed). */
function mix(seed: number, label: string): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  for (let index = 0; index < label.length; index++) {
    hash = Math.imul(hash ^ label.charCodeAt(index), 0x01000193);
  }
  // A final avalanche, so that seeds 0, 1, 2 do not give neighbouring generators.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) | 0;
}
