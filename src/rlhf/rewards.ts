/** Rewards that a policy is trained with: functions, a server's, standardised, capped, random. */
import { z } from "zod";
import { FairlError, messageOf, Random } from "../base/mod.ts";

/** One reward for each text: a prompt with what was written after it. The prompts come beside. */
export type RewardFunction = (
  texts: readonly string[],
  prompts: readonly string[],
) => Promise<ArrayLike<number>>;

/** How a reward server is asked. */
export interface HttpRewardOptions {
  /** Milliseconds until an answer must be there. Default: 180,000. */
  readonly timeout?: number;
  /** How often it is asked before the run ends. Default: 5. */
  readonly attempts?: number;
  /** Sent as `Authorization: Bearer`. */
  readonly key?: string;
}

const answer = z.object({ rewards: z.array(z.number()) });

/**
 * The reward of a server that speaks OpenRLHF's shape: `POST {"query": [text], "prompts": [prompt],
 * "labels": [null]}`, answered by `{"rewards": [number]}`.
 *
 * @throws FairlError from the function: `rlhf.reward` when the server gives no reward for every text
 *
 * @example A server that likes short texts
 * ```ts
 * import { assert } from "@std/assert";
 * import { httpReward } from "./rewards.ts";
 * await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
 *   const { query } = await request.json();
 *   return Response.json({ rewards: query.map((text: string) => -text.length) });
 * });
 * const reward = httpReward(`http://127.0.0.1:${server.addr.port}/get_reward`);
 * const [short, long] = Array.from(await reward(["ab", "abcd"], ["a", "a"]));
 * assert(short! > long!);
 * ```
 */
export function httpReward(url: string, options: HttpRewardOptions = {}): RewardFunction {
  const { timeout = 180_000, attempts = 5, key } = options;
  const ask = async (body: string) => {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      body,
      signal: AbortSignal.timeout(timeout),
    });
    const text = await response.text();
    if (!response.ok) {
      const told = `status ${response.status}: ${text.slice(0, 200)}`;
      // What the server refuses it will refuse again.
      throw response.status < 500 && response.status !== 429 && response.status !== 408
        ? new FairlError("rlhf.reward", `${url} answers with ${told}`)
        : new Error(told);
    }
    return answer.parse(JSON.parse(text)).rewards;
  };
  return async (texts, prompts) => {
    const body = JSON.stringify({ query: texts, prompts, labels: texts.map(() => null) });
    for (let attempt = 1;; attempt++) {
      try {
        const rewards = await ask(body);
        if (rewards.length === texts.length) return rewards;
        throw new Error(`${rewards.length} rewards for ${texts.length} texts`);
      } catch (error) {
        if (error instanceof FairlError || error instanceof Deno.errors.NotCapable) throw error;
        if (attempt >= attempts) {
          const reason = messageOf(error).split("\n")[0];
          throw new FairlError("rlhf.reward", `${url} gives no rewards: ${reason}`, {
            cause: error,
          });
        }
        await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
      }
    }
  };
}

/**
 * A reward in deviations from its mean over some texts, cut off above (C: METHOD.md). An extracted
 * reward knows nothing of texts far from those that it was learned on; without a cap a policy is
 * drawn to where it is wrong.
 *
 * @param known Rewards of texts that the model at hand writes, at least two that differ
 * @param cap Deviations above the mean that more is not paid for; `Infinity` for none
 * @throws FairlError `rlhf.reward` when they do not differ
 */
export function standardised(
  reward: RewardFunction,
  known: ArrayLike<number>,
  cap: number,
): RewardFunction {
  const values = Array.from(known);
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  if (!(deviation > 0)) {
    throw new FairlError("rlhf.reward", "The reward is the same for all texts of the model");
  }
  return async (texts, prompts) =>
    Array.from(await reward(texts, prompts), (x) => Math.min((x - mean) / deviation, cap));
}

/**
 * A reward without meaning, as a control: each word has a weight drawn from a normal distribution, and
 * a text the mean of its words'.
 */
export function randomReward(seed: number): RewardFunction {
  const random = new Random(seed, "random reward");
  const weights = new Map<string, number>();
  const weightOf = (word: string) => {
    let weight = weights.get(word);
    if (weight === undefined) weights.set(word, weight = random.fork(word).normal());
    return weight;
  };
  return (texts) =>
    Promise.resolve(texts.map((text) => {
      const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
      return words.reduce((sum, word) => sum + weightOf(word), 0) / Math.max(1, words.length);
    }));
}
