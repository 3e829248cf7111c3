// deno-lint-ignore-file no-console -- it says how good it is
/** Makes models/toxicity.json: the known reward that the base model is aligned with. */
import { writeFileAtomic } from "../src/base/mod.ts";
import { rocAuc } from "../src/metrics/mod.ts";
import { fitToxicity, toxicityReward } from "../src/reward/mod.ts";
import { modelData } from "./data.ts";

/** Fits the reward on the comments that models learn from, and judges it on those held out. */
export async function makeToxicity(path: string): Promise<void> {
  const { train, heldOut } = await modelData();
  const weights = fitToxicity("toxicity (words of ParaDetox and Davidson)", train);
  const rewards = await toxicityReward(weights).score(heldOut.map(({ text }) => text));
  const auc = rocAuc(rewards, heldOut.map(({ toxic }) => toxic ? 0 : 1));
  const right = heldOut.filter(({ toxic }, at) => toxic === rewards[at]! < 0).length;
  console.log(
    `${Object.keys(weights.words).length} words; held out: ROC-AUC ${auc.toFixed(3)}, accuracy ` +
      (right / heldOut.length).toFixed(3),
  );
  await writeFileAtomic(path, `${JSON.stringify(weights)}\n`);
}
