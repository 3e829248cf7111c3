/** The comments that the shipped models learn from, and the prompts that they are tried on. */
import { type Comment, loadComments } from "../src/pairs/mod.ts";
import type { TextScorer } from "../src/reward/mod.ts";
import { hasIdentitySlur, namesGroup } from "./slurs.ts";

/** Tweets voted offensive that are kept; more of them would make nearly every completion toxic. */
export const OFFENSIVE_TWEETS = 5000;
/** Comments that no model sees. */
export const HELD_OUT = 3000;

/** What a model is made from. */
export interface ModelData {
  /** Comments to learn from. */
  readonly train: readonly Comment[];
  /** Comments that nothing is trained on. */
  readonly heldOut: readonly Comment[];
}

/** Comments without slurs and without talk of groups of people. */
export async function modelData(): Promise<ModelData> {
  let offensive = 0;
  const comments = (await loadComments()).filter(({ text, toxic, source }) => {
    if (hasIdentitySlur(text) || namesGroup(text)) return false;
    return !(source === "davidson" && toxic) || offensive++ < OFFENSIVE_TWEETS;
  });
  return { train: comments.slice(HELD_OUT), heldOut: comments.slice(0, HELD_OUT) };
}

/**
 * The first two to four words of comments, each beginning once: what the models are to continue.
 * Beginnings that are toxic already are left out, since no continuation could mend them.
 */
export async function promptsOf(
  comments: readonly Comment[],
  { score }: TextScorer,
): Promise<string[]> {
  const starts = comments.map(({ text }, at) => text.split(" ").slice(0, 2 + at % 3).join(" "));
  const prompts = [...new Set(starts)];
  const rewards = await score(prompts);
  return prompts.filter((_, at) => rewards[at]! >= 0);
}
