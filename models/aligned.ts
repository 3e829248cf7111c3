// deno-lint-ignore-file no-console -- it says how far it is
/** Makes models/comments-aligned: the base model after RLOO against the known toxicity reward. */
import { Random } from "../src/base/mod.ts";
import { BOS, EOS, loadModel, packRows, perplexity, saveModel } from "../src/lm/mod.ts";
import { toxicityReward } from "../src/reward/mod.ts";
import { align, DEFAULT_ALIGNMENT } from "../src/rlhf/mod.ts";
import { type DeviceRequest, Runtime } from "../src/runtime/mod.ts";
import { alignedCard } from "./cards.ts";
import { modelData, promptsOf } from "./data.ts";

/** Aligns the base model on beginnings of comments that it has seen, and writes the folder. */
export async function makeAligned(
  base: string,
  reward: string,
  folder: string,
  device: DeviceRequest,
): Promise<void> {
  const { train, heldOut } = await modelData();
  const model = await loadModel(base);
  const truth = toxicityReward(JSON.parse(await Deno.readTextFile(reward)));
  const { score } = truth;
  const prompts = new Random(0, "prompts").shuffle(await promptsOf(train, truth)).slice(0, 3000);
  await using runtime = await Runtime.open(device);
  const settings = { ...DEFAULT_ALIGNMENT, epochs: 40, beta: 0.03, learningRate: 6e-4 };
  const { weights, log } = await align(runtime, model, score, prompts, settings, {
    judge: score,
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
  const neutral = packRows(
    heldOut.filter(({ toxic }) => !toxic).map(({ text }) =>
      Int32Array.of(BOS, ...model.tokenizer.encode(text), EOS)
    ),
    127,
  );
  const before = await perplexity(runtime, model.config, model.weights, neutral);
  const after = await perplexity(runtime, model.config, weights, neutral);
  console.log(`perplexity of neutral comments: ${before.toFixed(1)} to ${after.toFixed(1)}`);
  const card = alignedCard({ first: log[0]!, last: log.at(-1)!, before, after });
  await saveModel(folder, {
    config: model.config,
    weights,
    tokenizer: model.tokenizer.json,
    card,
  }, "F16");
}
