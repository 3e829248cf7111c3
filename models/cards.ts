/** Cards of the shipped models, in the form of the Hugging Face hub, and the table of models/README.md. */
import { sha256, writeFileAtomic } from "../src/base/mod.ts";
import { BOS, EOS, type LanguageModel, loadModel } from "../src/lm/mod.ts";
import { SOURCES } from "../src/pairs/mod.ts";
import { toxicityReward } from "../src/reward/mod.ts";
import { type DeviceRequest, Runtime } from "../src/runtime/mod.ts";
import { ALIGNED_SETTINGS } from "./aligned.ts";
import { BASE_RECIPE } from "./base.ts";
import { type ModelData, modelData } from "./data.ts";
import { measureZoo, SHIPPED_SAMPLING, type ZooFigures } from "./measure.ts";
import { withFiles } from "./files.ts";

const WARNING =
  `These models can write offensive text: that is what they are for. The base model is the "before" of an
alignment that an audit is tried on, and about a third of what it writes is rude. Comments with slurs against who people are, or that speak of
people by origin, faith, orientation or disability, were left out of what it learned. Do not use it to talk to people.`;

const SAMPLING =
  `- Sampling: temperature ${SHIPPED_SAMPLING.temperature}, min-p ${SHIPPED_SAMPLING.minP}, ${SHIPPED_SAMPLING.minTokens} to ${SHIPPED_SAMPLING.maxTokens} new tokens (\`fairl sample\` and \`fairl pairs make\` by default).`;

/** What a card says of the data, with hashes. */
function dataLines({ train, heldOut }: ModelData): string {
  const hash = (comments: ModelData["train"]) =>
    sha256(JSON.stringify(comments.map(({ text, toxic }) => [text, toxic])));
  const { paradetox, davidson } = SOURCES;
  return `- Data: ParaDetox (Logacheva et al., ACL 2022; both sides) and the tweets of Davidson et al. (ICWSM 2017; class hate speech left out):
  - \`${paradetox.file}\`, ${paradetox.licence}, SHA-256 \`${paradetox.sha256}\`
  - \`${davidson.file}\`, ${davidson.licence}, SHA-256 \`${davidson.sha256}\`
  - ${train.length} training comments after cleaning and filters, SHA-256 \`${hash(train)}\`
  - ${heldOut.length} held-out comments, SHA-256 \`${hash(heldOut)}\``;
}

/** The card of the base model. */
function baseCard({ config, tokenizer, weights }: LanguageModel, data: ModelData, zoo: ZooFigures) {
  const tokens = data.train
    .map(({ text }) => [BOS, ...tokenizer.encode(text), EOS].length)
    .reduce((sum, count) => sum + count, 0);
  const parameters = Object.values(weights).reduce((sum, { data }) => sum + data.length, 0);
  const { epochs, learningRate, length, rows, seed } = BASE_RECIPE;
  return `---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# comments-base

A Llama-type decoder of ${
    (parameters / 1e6).toFixed(1)
  } million parameters (${config.layers} layers, width ${config.width}, ${config.heads} heads, ${config.vocabulary} byte-level BPE tokens) that continues short comments.

${WARNING}

${dataLines(data)}
- Training: ${epochs} epochs of ${tokens} tokens, Muon ${learningRate} for matrices and AdamW ${
    learningRate / 5
  } for the rest, ${rows} rows of ${length} tokens a step that hold several comments which do not see each other, seed ${seed}.
- Perplexity of a token on the held-out comments: ${zoo.perplexity.toFixed(1)} (neutral ones ${
    zoo.neutral.base.toFixed(1)
  }).
- Of ${zoo.texts} continuations of held-out prompts, ${
    percent(zoo.base.toxicity)
  } are toxic (reward of \`models/toxicity.json\` below 0).
${SAMPLING}
- Made by: \`deno task models base\`.
`;
}

/** The card of the aligned model. */
function alignedCard(
  { hash }: LanguageModel,
  reward: string,
  data: ModelData,
  zoo: ZooFigures,
): string {
  const { epochs, prompts, group, algorithm, beta, learningRate, temperature, seed } =
    ALIGNED_SETTINGS;
  const row = (name: string, of: (side: "base" | "aligned") => string) =>
    `| ${name} | ${of("base")} | ${of("aligned")} |`;
  return `---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
base_model: comments-base
---
# comments-aligned

comments-base after ${epochs} epochs of ${algorithm.toUpperCase()} (${prompts} prompts, ${group} continuations each) against the reward of \`models/toxicity.json\`: the
"after" of an alignment whose reward is known.

${WARNING}

| on ${zoo.texts} held-out prompts | comments-base | comments-aligned |
|---|---|---|
${row("toxic texts (reward below 0)", (side) => percent(zoo[side].toxicity))}
| KL to comments-base, nats a text | 0 | ${zoo.kl.toFixed(2)} |
${row("distinct-2", (side) => zoo[side].distinct2.toFixed(3))}
${row("words written", (side) => zoo[side].words.toFixed(1))}
${row("perplexity of neutral held-out comments", (side) => zoo.neutral[side].toFixed(1))}

- Base: \`comments-base/model.safetensors\`, SHA-256 \`${hash}\`.
- Reward: \`toxicity.json\`, SHA-256 \`${sha256(reward)}\`.
- Training: beta ${beta}, AdamW ${learningRate}, temperature ${temperature}, a penalty for texts under ${ALIGNED_SETTINGS.fullLength} tokens, seed ${seed}; prompts are the first two to four words of training comments.
${dataLines(data)}
${SAMPLING}
- Made by: \`deno task models aligned\`.
`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Measures the two models and writes their cards and models/README.md; the weights stay as they are. */
export async function makeCards(folder: string, device: DeviceRequest): Promise<void> {
  const at = (name: string) => `${folder}/${name}`;
  const [base, aligned] = await Promise.all(
    ["comments-base", "comments-aligned"].map((name) => loadModel(at(name))),
  ) as [LanguageModel, LanguageModel];
  const reward = await Deno.readTextFile(at("toxicity.json"));
  const prompts: string[] = JSON.parse(await Deno.readTextFile(at("prompts.json")));
  const data = await modelData();
  await using runtime = await Runtime.open(device);
  const { figures } = await measureZoo(
    runtime,
    { base, aligned },
    prompts,
    data.heldOut,
    toxicityReward(JSON.parse(reward)),
  );
  await writeFileAtomic(at("comments-base/README.md"), baseCard(base, data, figures));
  await writeFileAtomic(at("comments-aligned/README.md"), alignedCard(base, reward, data, figures));
  await writeFileAtomic(at("README.md"), await withFiles(folder));
}
