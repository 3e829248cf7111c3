/** The unigram tokenizer of Universal Sentence Encoder lite: the best path through its pieces. */

/** Pieces with their log-probabilities; a piece's place is its id. */
export type UnigramVocabulary = readonly (readonly [piece: string, score: number])[];

/** Ids below this stand for the unknown symbol and the control symbols, which no text matches. */
const RESERVED = 6;
/** The id of whatever no piece covers. */
const UNKNOWN = 0;
/** Stands for a space, and before the first word. */
const SPACE = "\u2581";
/** One more than the largest code point: node and code point become one number. */
const CODE_POINTS = 0x110000;

/**
 * Splits texts into the pieces of a unigram vocabulary. Ids are those of the model's own tokenizer
 * in TensorFlow.js, including what that one does on ties and on positions no piece ends at, so that
 * the features are the published model's.
 *
 * @example A vocabulary of four pieces
 * ```ts
 * import { assert } from "@std/assert";
 * import { UnigramTokenizer } from "./unigram.ts";
 * const reserved = Array.from({ length: 6 }, () => ["\ufffd", 0] as const);
 * const pieces = [["\u2581a", -1], ["b", -2], ["\u2581ab", -2], ["\u2581", -5]] as const;
 * const tokenizer = new UnigramTokenizer([...reserved, ...pieces]);
 * assert(tokenizer.encode("ab a").join() === "8,6");
 * ```
 */
export class UnigramTokenizer {
  /** The node behind node * CODE_POINTS + code point. The root is node 0. */
  readonly #children = new Map<number, number>();
  /** The id of the piece that ends at a node, 0 where none does. */
  readonly #pieces: Int32Array;
  readonly #scores: Float64Array;
  /** Length of each piece in UTF-16 units: how far the peer steps back, which counts so. */
  readonly #lengths: Int32Array;

  /** Builds the trie of a vocabulary. */
  constructor(vocabulary: UnigramVocabulary) {
    this.#scores = Float64Array.from(vocabulary, ([, score]) => score);
    this.#lengths = Int32Array.from(vocabulary, ([piece]) => piece.length);
    const ends: number[] = [0];
    for (let id = RESERVED; id < vocabulary.length; id++) {
      let node = 0;
      for (const symbol of vocabulary[id]![0]) {
        const key = node * CODE_POINTS + symbol.codePointAt(0)!;
        let next = this.#children.get(key);
        if (next === undefined) {
          next = ends.push(0) - 1;
          this.#children.set(key, next);
        }
        node = next;
      }
      ends[node] = id;
    }
    this.#pieces = Int32Array.from(ends);
  }

  /** The ids of a text's pieces; none for an empty text. Neighbouring unknown symbols are one. */
  encode(text: string): Int32Array<ArrayBuffer> {
    const normal = text.normalize("NFKC");
    if (normal === "") return new Int32Array(0);
    const symbols = Array.from(
      SPACE + normal.replaceAll(" ", SPACE),
      (symbol) => symbol.codePointAt(0)!,
    );
    const words = this.#bestWords(symbols);
    const result: number[] = [];
    for (let end = symbols.length; end > 0;) {
      const id = words[end]!;
      if (id !== UNKNOWN || result.at(-1) !== UNKNOWN) result.push(id);
      end -= this.#lengths[id]!;
    }
    return Int32Array.from(result.reverse());
  }

  /** The last piece of the best path to each position (Viterbi, from the left). */
  #bestWords(symbols: readonly number[]): Int32Array {
    const best = new Float64Array(symbols.length + 1);
    const words = new Int32Array(symbols.length + 1);
    const offer = (end: number, score: number, id: number) => {
      // Zero also means "not reached yet", as it does in the peer; a later start wins a tie.
      if (best[end] === 0 || score >= best[end]!) {
        best[end] = score;
        words[end] = id;
      }
    };
    for (let start = 0; start < symbols.length; start++) {
      let matched = false;
      let node: number | undefined = 0;
      for (let end = start; end < symbols.length; end++) {
        node = this.#children.get(node * CODE_POINTS + symbols[end]!);
        if (node === undefined) break;
        const id = this.#pieces[node]!;
        if (id === UNKNOWN) continue;
        matched = true;
        offer(end + 1, this.#scores[id]! + best[start]!, id);
      }
      if (!matched) offer(start + 1, best[start]!, UNKNOWN);
    }
    return words;
  }
}
