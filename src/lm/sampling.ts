/** Draws a token from logits: temperature, top-k, top-p, min-p. */
import { z } from "zod";
import { FairlError } from "../base/mod.ts";

/** How tokens are drawn. */
export interface SamplingSettings {
  /** The logits are divided by it; 0 takes the likeliest token. Default: 1. */
  readonly temperature?: number | undefined;
  /** Only so many of the likeliest tokens. Default: all. */
  readonly topK?: number | undefined;
  /** Only the fewest tokens that reach this probability (Holtzman et al. 2020). Default: 1. */
  readonly topP?: number | undefined;
  /** Only tokens at least this part as likely as the likeliest (Nguyen et al. 2024). Default: 0. */
  readonly minP?: number | undefined;
}

const schema = z.object({
  temperature: z.number().min(0).default(1),
  topK: z.int().min(1).optional(),
  topP: z.number().positive().max(1).default(1),
  minP: z.number().min(0).max(1).default(0),
});

/**
 * Draws tokens of one vocabulary. The filters look at the distribution at the given temperature, each
 * at what the one before has left: top-k, top-p, then min-p.
 *
 * @throws FairlError `lm.sampling` when a setting is out of its range
 *
 * @example The likeliest token, with its log-probability
 * ```ts
 * import { assert } from "@std/assert";
 * import { Sampler } from "./sampling.ts";
 * const sampler = new Sampler(3, { temperature: 0 });
 * assert(sampler.draw(Float32Array.of(0, 2, 1), 0.5) === 1);
 * ```
 */
export class Sampler {
  /** log p of the token drawn last, in nats: of the distribution at the temperature, unfiltered. */
  logProbability = 0;
  readonly #settings: z.infer<typeof schema>;
  readonly #weights: Float32Array;
  readonly #order: Int32Array;

  /** Settings for a vocabulary of some size. */
  constructor(readonly vocabulary: number, settings: SamplingSettings = {}) {
    const parsed = schema.safeParse(settings);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw new FairlError("lm.sampling", `${issue!.path.join(".")}: ${issue!.message}`);
    }
    this.#settings = parsed.data;
    this.#weights = new Float32Array(vocabulary);
    this.#order = new Int32Array(vocabulary);
  }

  /** What logits are multiplied by; greedy decoding reports what the model itself says of its choice. */
  get scale(): number {
    const { temperature } = this.#settings;
    return temperature === 0 ? 1 : 1 / temperature;
  }

  /**
   * Draws a token.
   *
   * @param logits The vocabulary's scores
   * @param uniform A number in [0, 1)
   * @param forbidden A token that has no probability, the end of the text before its time
   */
  draw(logits: Float32Array, uniform: number, forbidden = -1): number {
    const top = logits.reduce((most, logit) => Math.max(most, logit));
    const likely = logits.map((logit) => Math.exp((logit - top) * this.scale));
    const sum = likely.reduce((whole, part) => whole + part, 0);
    return this.choose(likely.map((part) => part / sum), uniform, 0, forbidden);
  }

  /**
   * Draws a token from the distribution at the temperature.
   *
   * @param likely The vocabulary's probabilities from `offset` on
   * @param uniform A number in [0, 1)
   * @param forbidden A token that has no probability
   */
  choose(likely: Float32Array, uniform: number, offset = 0, forbidden = -1): number {
    const { temperature, topK, topP, minP } = this.#settings;
    let weights = likely.subarray(offset, offset + this.vocabulary);
    let sum = 1;
    if (forbidden >= 0) {
      weights = this.#copied(weights);
      weights[forbidden] = 0;
      sum = weights.reduce((whole, part) => whole + part, 0);
    }
    const all = sum;
    let token: number;
    if (temperature === 0) {
      token = likeliest(weights);
    } else {
      if (topP < 1 || minP > 0 || topK !== undefined) {
        weights = this.#copied(weights);
        sum = this.#filter(weights, topK, topP, minP);
      }
      token = pick(weights, uniform * sum);
    }
    this.logProbability = Math.log(likely[offset + token]! / all);
    return token;
  }

  /** The same numbers, to be changed. */
  #copied(weights: Float32Array): Float32Array {
    this.#weights.set(weights);
    return this.#weights;
  }

  /** Sets the weights of tokens that are filtered out to 0; returns the sum of those left. */
  #filter(
    weights: Float32Array,
    topK: number | undefined,
    topP: number,
    minP: number,
  ): number {
    if (topP < 1 || (topK !== undefined && topK < weights.length)) {
      const order = this.#order;
      for (let token = 0; token < order.length; token++) order[token] = token;
      order.sort((a, b) => weights[b]! - weights[a]! || a - b);
      let kept = 0;
      let left = Math.min(topK ?? order.length, order.length);
      let whole = 0;
      for (let at = 0; at < left; at++) whole += weights[order[at]!]!;
      for (let at = 0; at < left; at++) {
        kept += weights[order[at]!]!;
        if (kept >= topP * whole) left = at + 1;
      }
      for (let at = left; at < order.length; at++) weights[order[at]!] = 0;
    }
    const least = minP * weights[likeliest(weights)]!;
    let sum = 0;
    for (let token = 0; token < weights.length; token++) {
      if (weights[token]! < least) weights[token] = 0;
      sum += weights[token]!;
    }
    return sum;
  }
}

/** The first of the largest. */
function likeliest(weights: Float32Array): number {
  let best = 0;
  let most = weights[0]!;
  for (let token = 1; token < weights.length; token++) {
    const weight = weights[token]!;
    if (weight > most) {
      most = weight;
      best = token;
    }
  }
  return best;
}

/** The token in which a point of the cumulated weights lies. */
function pick(weights: Float32Array, point: number): number {
  let passed = 0;
  for (let token = 0; token < weights.length; token++) {
    passed += weights[token]!;
    if (passed > point) return token;
  }
  // Rounding may leave the point at the very end.
  return likeliest(weights);
}
