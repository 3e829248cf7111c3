/** Trains a byte-level BPE tokenizer and writes it as the tokenizer.json that other tools read. */
import { FairlError } from "../base/mod.ts";

/** Begins a text. */
export const BOS = 0;
/** Ends a text. */
export const EOS = 1;
const SPECIAL = ["<s>", "</s>"];

/** GPT-2's pieces: contractions, words, numbers and signs, each with the space before it. */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A word in the making. */
interface Word {
  readonly count: number;
  symbols: string[];
}

/**
 * Learns byte pair merges (Sennrich et al. 2016, algorithm 1) over the bytes of words (Radford et al.
 * 2019, section 2.2), so that any text can be written and read back exactly.
 *
 * @param texts What to learn from
 * @param size Tokens in all: two special ones, 256 bytes, and merges
 * @returns the content of a tokenizer.json; "<s>" is token 0 and "</s>" token 1
 * @throws FairlError `lm.vocabulary` when `size` leaves no room for a merge
 */
export function trainBpe(texts: Iterable<string>, size: number): Record<string, unknown> {
  const alphabet = byteSymbols();
  const merges = size - SPECIAL.length - alphabet.length;
  if (!Number.isInteger(size) || merges < 1) {
    throw new FairlError(
      "lm.vocabulary",
      `A vocabulary of ${size} leaves no room beside ${SPECIAL.length + alphabet.length} tokens`,
    );
  }
  const learned = learnMerges(wordsOf(texts, alphabet), merges);
  const tokens = [
    ...SPECIAL,
    ...[...alphabet].sort((a, b) => a < b ? -1 : 1),
    ...learned.map(([a, b]) => a + b),
  ];
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { ...byteLevel, use_regex: true },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: learned.map((pair) => [...pair]),
    },
  };
}

/**
 * The printable character that stands for each byte: itself where it is one, else one from U+0100 on.
 */
function byteSymbols(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
}

function wordsOf(texts: Iterable<string>, alphabet: readonly string[]): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [piece] of text.matchAll(PIECES)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([piece, count]) => ({
    count,
    symbols: Array.from(encoder.encode(piece), (byte) => alphabet[byte]!),
  }));
}

/** The commonest pair of neighbours becomes one symbol, again and again. */
function learnMerges(words: readonly Word[], most: number): [string, string][] {
  const counts = new Map<string, number>();
  const places = new Map<string, Set<Word>>();
  // No symbol holds a space: bytes that are none are written otherwise.
  const note = (word: Word, sign: 1 | -1) => {
    for (let at = 1; at < word.symbols.length; at++) {
      const pair = `${word.symbols[at - 1]} ${word.symbols[at]}`;
      counts.set(pair, (counts.get(pair) ?? 0) + sign * word.count);
      if (sign < 0) continue;
      if (!places.has(pair)) places.set(pair, new Set());
      places.get(pair)!.add(word);
    }
  };
  for (const word of words) note(word, 1);
  const merges: [string, string][] = [];
  while (merges.length < most) {
    let best = "";
    let highest = 1;
    for (const [pair, count] of counts) {
      if (count > highest || (count === highest && best !== "" && pair < best)) {
        [best, highest] = [pair, count];
      }
    }
    if (best === "") break;
    const [first, second] = best.split(" ") as [string, string];
    for (const word of places.get(best)!) {
      if (!joined(word.symbols, first, second)) continue;
      note(word, -1);
      word.symbols = joined(word.symbols, first, second)!;
      note(word, 1);
    }
    counts.delete(best);
    places.delete(best);
    merges.push([first, second]);
  }
  return merges;
}

/** The symbols with each such pair made one; undefined where there is none. */
function joined(symbols: readonly string[], first: string, second: string): string[] | undefined {
  const result: string[] = [];
  for (let at = 0; at < symbols.length; at++) {
    const meet = symbols[at] === first && symbols[at + 1] === second;
    result.push(meet ? first + second : symbols[at]!);
    if (meet) at++;
  }
  return result.length < symbols.length ? result : undefined;
}
