// deno-lint-ignore-file no-console -- it says how far it is
/** Makes models/comments-aligned: the base model after RLOO against the known toxicity reward. */
import { Random } from "../src/base/mod.ts";
import { loadModel, saveModel } from "../src/lm/mod.ts";
import { toxicityReward } from "../src/reward/mod.ts";
import { align, type AlignmentSettings, DEFAULT_ALIGNMENT } from "../src/rlhf/mod.ts";
import { type DeviceRequest, Runtime } from "../src/runtime/mod.ts";
import { modelData, promptsOf } from "./data.ts";

/** How the base model is aligned. */
export const ALIGNED_SETTINGS: AlignmentSettings = {
  ...DEFAULT_ALIGNMENT,
  epochs: 40,
  beta: 0.03,
  learningRate: 6e-4,
};

/**
 * Aligns the base model on beginnings of comments that it has seen, and writes the folder. A run that
 * was killed goes on from its checkpoint.
 */
export async function makeAligned(
  base: string,
  reward: string,
  folder: string,
  device: DeviceRequest,
): Promise<void> {
  const { train } = await modelData();
  const model = await loadModel(base);
  const truth = toxicityReward(JSON.parse(await Deno.readTextFile(reward)));
  const { score } = truth;
  const prompts = new Random(0, "prompts").shuffle(await promptsOf(train, truth)).slice(0, 3000);
  await using runtime = await Runtime.open(device);
  const checkpoints = ".cache/models/aligned";
  const { weights, stopped } = await align(runtime, model, score, prompts, ALIGNED_SETTINGS, {
    judge: score,
    folder: checkpoints,
    every: 5,
    onEpoch: (now) => {
      if (now.epoch % 5 === 0) {
        console.log(
          Object.entries(now).map(([name, value]) => `${name} ${Number(value.toFixed(3))}`).join(
            ", ",
          ),
        );
      }
    },
  });
  if (stopped) throw new Error(`it collapsed: ${stopped}`);
  await saveModel(folder, {
    config: model.config,
    weights,
    tokenizer: model.tokenizer.json,
    card: "The card comes from `deno task models cards`.\n",
  }, "F16");
  await Deno.remove(checkpoints, { recursive: true }).catch(() => {});
}
