/** Makes models/prompts.json: beginnings of comments that neither model has seen. */
import { writeFileAtomic } from "../src/base/mod.ts";
import { toxicityReward } from "../src/reward/mod.ts";
import { modelData, promptsOf } from "./data.ts";

/** Writes the beginnings of the held-out comments. */
export async function makePrompts(reward: string, path: string): Promise<void> {
  const { heldOut } = await modelData();
  const truth = toxicityReward(JSON.parse(await Deno.readTextFile(reward)));
  await writeFileAtomic(path, `${JSON.stringify(await promptsOf(heldOut, truth), null, 0)}\n`);
}
