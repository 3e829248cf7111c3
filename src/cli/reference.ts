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
import type { DeviceRequest, Runtime } from "../runtime/mod.ts";
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
}

/** What an encoder is when none is named. */
export const DEFAULT_ENCODER = "use-lite";

/**
 * Opens a reward by name and lends it to `work`.
 *
 * @param name `davidson`, `lexicon`, `column`, or the folder of an artefact
 * @throws FairlError `cli.reward` when there is no such reward
 */
export async function withScorer<T>(
  name: string,
  context: ScorerContext,
  work: (scorer: TextScorer) => Promise<T>,
): Promise<T> {
  await refuseUnknownReward(name);
  if (name === "lexicon") return await work(await lexiconReference());
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

/**
 * Checks the name of a reward before anything is computed for it.
 *
 * @throws FairlError `cli.reward` when there is no such reward
 */
export async function refuseUnknownReward(name: string): Promise<void> {
  if (["davidson", "lexicon", "column"].includes(name)) return;
  if (await Deno.stat(name).then((stat) => stat.isDirectory, () => false)) return;
  throw new FairlError(
    "cli.reward",
    `${name} is no reward: name davidson, lexicon, column or the folder of an artefact`,
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
