/** Counts what goes through: what is kept, what is left out, what stands there twice. */
import { createHash } from "node:crypto";
import type { RowProblem } from "./rows.ts";
import type { PreferencePair } from "./schema.ts";

/** What was found while pairs were read. */
export interface PairCounts {
  /** Rows that were read, good or bad. */
  readonly read: number;
  /** Pairs that are used. */
  readonly kept: number;
  /** Bad rows by code; left out. */
  readonly problems: Readonly<Record<string, number>>;
  /** Pairs whose prompt and both texts stood there before; left out unless asked for. */
  readonly duplicates: number;
  /** Pairs of two equal texts, which no reward can order; left out. */
  readonly equalTexts: number;
  /** Pairs with nothing but white space on a side; left out. */
  readonly emptyTexts: number;
  /** Pairs that stand there the other way round as well (a > b and b > a); kept. */
  readonly conflicts: number;
  /** Distinct texts among the kept pairs. */
  readonly texts: number;
  /** Distinct prompts among the kept pairs, the empty one not counted. */
  readonly prompts: number;
}

/**
 * Decides for each pair whether it is used, and counts. What it has seen it remembers as 64-bit
 * hashes (about 16 to 32 bytes a text), so that a million pairs fit; the chance that any two of
 * two million texts are confused is below one in a million.
 */
export class PairLedger {
  readonly #keepDuplicates: boolean;
  readonly #hash = createHash("sha256");
  readonly #texts = new HashSet();
  readonly #prompts = new HashSet();
  readonly #pairs = new HashSet();
  readonly #problems: Record<string, number> = {};
  #read = 0;
  #kept = 0;
  #duplicates = 0;
  #equalTexts = 0;
  #emptyTexts = 0;
  #conflicts = 0;

  /** @param keepDuplicates Whether repeated pairs are used as often as they stand there */
  constructor(keepDuplicates = false) {
    this.#keepDuplicates = keepDuplicates;
  }

  /** Counts a row that could not be read. */
  problem({ code }: RowProblem): void {
    this.#read++;
    this.#problems[code] = (this.#problems[code] ?? 0) + 1;
  }

  /** Counts a pair, and says whether it is used. */
  admit(pair: PreferencePair): boolean {
    this.#read++;
    if (pair.chosen.trim() === "" || pair.rejected.trim() === "") {
      this.#emptyTexts++;
      return false;
    }
    if (pair.chosen === pair.rejected) {
      this.#equalTexts++;
      return false;
    }
    const prompt = hashOf(pair.prompt);
    const chosen = hashOf(pair.chosen);
    const rejected = hashOf(pair.rejected);
    if (!this.#pairs.add(combine(prompt, chosen, rejected))) {
      this.#duplicates++;
      if (!this.#keepDuplicates) return false;
    } else if (this.#pairs.has(combine(prompt, rejected, chosen))) {
      this.#conflicts++;
    }
    this.#kept++;
    this.#texts.add(chosen);
    this.#texts.add(rejected);
    if (pair.prompt !== "") this.#prompts.add(prompt);
    this.#hash.update(JSON.stringify([
      pair.prompt,
      pair.chosen,
      pair.rejected,
      pair.chosenReference ?? null,
      pair.rejectedReference ?? null,
      pair.label ?? null,
      pair.group ?? null,
    ])).update("\n");
    return true;
  }

  /** Makes other bytes, such as given features, part of the content hash. */
  include(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** What was counted so far. */
  counts(): PairCounts {
    return {
      read: this.#read,
      kept: this.#kept,
      problems: { ...this.#problems },
      duplicates: this.#duplicates,
      equalTexts: this.#equalTexts,
      emptyTexts: this.#emptyTexts,
      conflicts: this.#conflicts,
      texts: this.#texts.size,
      prompts: this.#prompts.size,
    };
  }

  /** SHA-256 over the kept pairs in their order, one canonical JSON line each. */
  contentHash(): string {
    return this.#hash.copy().digest("hex");
  }
}

/** A 64-bit hash as two lanes of 32 bits. */
type Hash = readonly [number, number];

/** Two multiplicative hashes with different factors over the UTF-16 units, each well stirred. */
function hashOf(text: string): Hash {
  let a = 0x9e3779b1 ^ text.length;
  let b = 0x7feb352d;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return [stir(a), stir(b ^ (a >>> 7))];
}

function combine(...hashes: Hash[]): Hash {
  let a = 0x2545f491;
  let b = 0x85157af5;
  for (const [x, y] of hashes) {
    a = stir(Math.imul(a, 31) ^ x);
    b = stir(Math.imul(b, 37) ^ y);
  }
  return [a, b];
}

function stir(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** A set of 64-bit hashes: open addressing over a flat array, at most 60 % full. */
class HashSet {
  #slots = new Uint32Array(2 * 1024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has([a, b]: Hash): boolean {
    const at = this.#find(a, b | 1);
    return this.#slots[at + 1] !== 0;
  }

  /** Returns whether the hash is new. */
  add([a, b]: Hash): boolean {
    // A set lowest bit tells a taken slot from a free one.
    const second = (b | 1) >>> 0;
    const at = this.#find(a, second);
    if (this.#slots[at + 1] !== 0) return false;
    this.#slots[at] = a;
    this.#slots[at + 1] = second;
    this.#size++;
    if (this.#size > 0.3 * this.#slots.length) this.#grow();
    return true;
  }

  #find(a: number, b: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = (2 * a) & mask;
    while (slots[at + 1] !== 0 && (slots[at] !== a || slots[at + 1] !== (b >>> 0))) {
      at = (at + 2) & mask;
    }
    return at;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(2 * old.length);
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue;
      const at = this.#find(old[from]!, old[from + 1]!);
      this.#slots[at] = old[from]!;
      this.#slots[at + 1] = old[from + 1]!;
    }
  }
}
