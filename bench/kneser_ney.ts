/** An n-gram model, the yardstick for a small language model: interpolated modified Kneser-Ney. */

/** What follows a context: how often, and the sums that the discount needs. */
interface Context {
  readonly next: Map<number, number>;
  total: number;
  /** Words that follow once, twice, and three times or more. */
  readonly ones: [number, number, number];
}

/**
 * Modified Kneser-Ney with interpolation (Chen and Goodman 1999, section 3): a count less a discount of 1 of
 * 3 kinds, the rest given to the shorter context, whose counts are of distinct words before it.
 */
export class KneserNey {
  /** By length of the context. */
  readonly #contexts: Map<string, Context>[] = [];
  readonly #discounts: (readonly [number, number, number])[] = [];

  /**
   * Counts.
   *
   * @param texts Tokens; the first of each is the mark of the beginning and is never predicted
   * @param order Tokens of an n-gram, at least 2
   * @param vocabulary Tokens that can be predicted
   */
  constructor(
    texts: readonly Int32Array[],
    readonly order: number,
    readonly vocabulary: number,
  ) {
    const counts = Array.from({ length: order }, () => new Map<string, number>());
    const add = (grams: Map<string, number>, gram: string) =>
      grams.set(gram, (grams.get(gram) ?? 0) + 1);
    for (const text of texts) {
      for (let at = 1; at < text.length; at++) {
        const start = Math.max(0, at - order + 1);
        // Nothing stands before the beginning, so its n-grams count as they are.
        if (at - start + 1 === order || start === 0) {
          add(counts[at - start]!, text.subarray(start, at + 1).join(" "));
        }
      }
    }
    for (let length = order - 1; length > 0; length--) {
      for (const gram of counts[length]!.keys()) {
        add(counts[length - 1]!, gram.slice(gram.indexOf(" ") + 1));
      }
    }
    for (const grams of counts) {
      const contexts = new Map<string, Context>();
      const times = [0, 0, 0, 0, 0];
      for (const [gram, count] of grams) {
        if (count < 5) times[count]!++;
        const cut = gram.lastIndexOf(" ");
        const key = gram.slice(0, Math.max(0, cut));
        let context = contexts.get(key);
        if (!context) contexts.set(key, context = { next: new Map(), total: 0, ones: [0, 0, 0] });
        context.next.set(Number(gram.slice(cut + 1)), count);
        context.total += count;
        context.ones[Math.min(count, 3) - 1]!++;
      }
      const [, one, two, three, four] = times as [number, number, number, number, number];
      const part = one / (one + 2 * two);
      this.#contexts.push(contexts);
      this.#discounts.push(
        // Few tokens that are all common leave nothing to estimate from.
        one && two && three
          ? [1 - 2 * part * two / one, 2 - 3 * part * three / two, 3 - 4 * part * four / three]
          : [0.5, 1, 1.5],
      );
    }
  }

  /** p(token | the tokens before it). */
  probability(before: Int32Array, token: number): number {
    let p = 1 / this.vocabulary;
    for (let length = 0; length < this.order && length <= before.length; length++) {
      const key = before.subarray(before.length - length).join(" ");
      const context = this.#contexts[length]!.get(key);
      if (!context) break;
      const discounts = this.#discounts[length]!;
      const count = context.next.get(token) ?? 0;
      const own = count === 0 ? 0 : count - discounts[Math.min(count, 3) - 1]!;
      const left = context.ones.reduce((sum, words, at) => sum + words * discounts[at]!, 0);
      p = (own + left * p) / context.total;
    }
    return p;
  }

  /** Perplexity of a token of texts, and how many there are. */
  perplexity(texts: readonly Int32Array[]): { perplexity: number; tokens: number } {
    let [sum, tokens] = [0, 0];
    for (const text of texts) {
      for (let at = 1; at < text.length; at++, tokens++) {
        const before = text.subarray(Math.max(0, at - this.order + 1), at);
        sum -= Math.log(this.probability(before, text[at]!));
      }
    }
    return { perplexity: Math.exp(sum / tokens), tokens };
  }
}
