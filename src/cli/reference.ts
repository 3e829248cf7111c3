/** Rewards by the name that a flag gives: a reference, a column, an artefact. */
import { FairlError } from "../base/mod.ts";
import { type Encoder, openEncoder } from "../encode/mod.ts";
import type { PreferencePair } from "../pairs/mod.ts";
import {
  columnReference,
  davidsonReference,
  lexiconReference,
  TextReward,
  type TextScorer,
} from "../reward/mod.ts";
import { ImplicitReward } from "../rlhf/mod.ts";
import type { DeviceRequest, Runtime } from "../runtime/mod.ts";
import { openModel, toxicity } from "./models.ts";
import { cacheFolder } from "./options.ts";

/** What {@linkcode withScorer} needs. */
export interface ScorerContext {
  /** Where to compute. */
  readonly runtime: Runtime;
  /** The device as the user asked for it. */
  readonly device: DeviceRequest;
  /** The encoder of references that need one. */
  readonly encoder: string;
  /** The pairs that the reward is compared on. */
  readonly pairs: readonly PreferencePair[];
  /** The models of the `implicit` reward, by name. */
  readonly models?: { readonly base: string; readonly aligned: string };
}

/** Rewards that a name stands for. */
export const NAMED_REWARDS: readonly string[] = [
  "davidson",
  "lexicon",
  "toxicity",
  "column",
  "implicit",
];

/** What an encoder is when none is named. */
export const DEFAULT_ENCODER = "use-lite";

/**
 * Opens a reward by name and lends it to `work`.
 *
 * @param name `davidson`, `lexicon`, `toxicity`, `column`, `implicit`, or the folder of an artefact
 * @throws FairlError `cli.reward` when there is no such reward
 */
export async function withScorer<T>(
  name: string,
  context: ScorerContext,
  work: (scorer: TextScorer) => Promise<T>,
): Promise<T> {
  await refuseUnknownReward(name);
  if (name === "lexicon") return await work(await lexiconReference());
  if (name === "toxicity") return await work(await toxicity());
  if (name === "implicit") return await withImplicit(context, work);
  if (name === "column") return await work(columnReference(knownRewards(context.pairs)));
  if (name === "davidson") {
    await using encoder: Encoder = await openEncoder(context.encoder, {
      device: context.device,
      cache: cacheFolder(),
    });
    const exclude = new Set(context.pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]));
    const { runtime } = context;
    return await work(
      await davidsonReference(runtime, encoder, { exclude, cache: cacheFolder() }),
    );
  }
  await using reward = await TextReward.open(name, {
    device: context.device,
    cache: cacheFolder(),
  });
  return await work({
    name: `artefact ${name} (${reward.card.method})`,
    score: async (texts) => (await reward.score(texts)).reward,
  });
}

/** Lends what two models say of the texts of pairs, each after the prompt of its first pair. */
async function withImplicit<T>(
  { runtime, pairs, models }: ScorerContext,
  work: (scorer: TextScorer) => Promise<T>,
): Promise<T> {
  if (!models) {
    throw new FairlError("cli.reward", "implicit needs both models: name --base and --aligned");
  }
  const [base, aligned] = [await openModel(models.base), await openModel(models.aligned)];
  const prompts = new Map(
    pairs.toReversed().flatMap(({ prompt, chosen, rejected }) => [
      [chosen, prompt],
      [rejected, prompt],
    ]),
  );
  await using reward = ImplicitReward.open(runtime, base, aligned);
  return await work({
    name: `implicit (log p of ${aligned.name} over ${base.name})`,
    score: async (texts) =>
      Float32Array.from(
        await reward.score(texts.map((text) => ({ prompt: prompts.get(text) ?? "", text }))),
      ),
  });
}

/**
 * Checks the name of a reward before anything is computed for it.
 *
 * @throws FairlError `cli.reward` when there is no such reward
 */
export async function refuseUnknownReward(name: string): Promise<void> {
  if (NAMED_REWARDS.includes(name)) return;
  if (await Deno.stat(name).then((stat) => stat.isDirectory, () => false)) return;
  throw new FairlError(
    "cli.reward",
    `${name} is no reward: name ${NAMED_REWARDS.join(", ")} or the folder of an artefact`,
  );
}

/** What the reference columns of pairs say of each text; the mean where they differ. */
function knownRewards(pairs: readonly PreferencePair[]): Map<string, number> {
  const sums = new Map<string, [sum: number, count: number]>();
  const note = (text: string, reward: number | undefined) => {
    if (reward === undefined) return;
    const [sum, count] = sums.get(text) ?? [0, 0];
    sums.set(text, [sum + reward, count + 1]);
  };
  for (const pair of pairs) {
    note(pair.chosen, pair.chosenReference);
    note(pair.rejected, pair.rejectedReference);
  }
  return new Map([...sums].map(([text, [sum, count]]) => [text, sum / count]));
}
