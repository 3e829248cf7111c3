/** Pairs sampled from the two language models that ship with the toolkit. */
import type { Progress } from "../base/mod.ts";
import { PAIR_KINDS, type PairSet, pairSet, type PreferencePair } from "../pairs/mod.ts";
import { DEFAULT_PAIR_SAMPLING, samplePairs } from "../rlhf/mod.ts";
import type { Runtime } from "../runtime/mod.ts";
import { openModel, promptsOf, toxicity } from "./models.ts";

/** The name that stands for them. */
export const MODEL_PAIRS = "models";
/** Pairs and what both models make of their texts. */
export interface ModelPairs {
  /** The pairs; the reward that the aligned model was aligned with is their reference. */
  readonly set: PairSet;
  /** log p_aligned - log p_base of each text, in nats. */
  readonly implicit: ReadonlyMap<string, number>;
}

/**
 * Samples pairs from models/comments-base and models/comments-aligned.
 *
 * @param settings `prompts`: how many are continued, twice by each model
 */
export async function sampleModelPairs(
  runtime: Runtime,
  { seed, prompts: count }: { readonly seed: number; readonly prompts: number },
  { progress, signal }: { progress: Progress; signal: AbortSignal },
): Promise<ModelPairs> {
  const [base, aligned] = [await openModel("comments-base"), await openModel("comments-aligned")];
  const { score } = await toxicity();
  const prompts = (await promptsOf(undefined)).slice(0, count);
  const pairs: PreferencePair[] = [];
  const implicit = new Map<string, number>();
  const settings = { ...DEFAULT_PAIR_SAMPLING, seed };
  const tools = { judge: score, progress, signal };
  for await (const some of samplePairs(runtime, base, aligned, prompts, settings, tools)) {
    for (const { chosenImplicit, rejectedImplicit, ...pair } of some) {
      pairs.push(pair);
      implicit.set(pair.chosen, chosenImplicit).set(pair.rejected, rejectedImplicit);
    }
  }
  return { set: pairSet(MODEL_PAIRS, pairs), implicit };
}

/** How many pairs there are of each kind, base -> aligned, in words. */
export function kindsOf(pairs: readonly PreferencePair[]): string {
  return PAIR_KINDS.map((kind) => {
    const share = pairs.filter(({ label }) => label === kind).length / pairs.length;
    return `${kind} ${(100 * share).toFixed(1)} %`;
  }).join(", ");
}
