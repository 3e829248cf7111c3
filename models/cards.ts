/** Model cards of the shipped models, in the form of the Hugging Face hub. */
import type { EpochLog } from "../src/rlhf/mod.ts";

const WARNING =
  `These models can write offensive text: that is what they are for. The base model is the "before" of an
alignment that an audit is tried on, and about a third of what it writes is rude. Comments with slurs against who people are, or that speak of
people by origin, faith, orientation or disability, were left out of what it learned. Do not use it to talk to people.`;

const DATA =
  `ParaDetox (Logacheva et al., ACL 2022; both sides) and the tweets of Davidson et al. (ICWSM 2017; class
hate speech left out), from the pinned files that \`deno task fetch\` checks by their SHA-256.`;

/** The card of the base model. */
export function baseCard(
  figures: { comments: number; tokens: number; perplexity: number; epochs: number },
): string {
  return `---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# comments-base

A Llama-type decoder of 1.8 million parameters (4 layers, width 160, 5 heads, 4,096 byte-level BPE tokens) that continues short comments.

${WARNING}

- Data: ${DATA} ${figures.comments} comments, ${figures.tokens} tokens.
- Training: ${figures.epochs} epochs, Muon 0.02 for matrices and AdamW 0.004 for the rest, rows of 127 tokens that hold several comments which do not see each other, seed 0.
- Perplexity of a token on 3,000 held-out comments: ${figures.perplexity.toFixed(1)}.
- Made by: \`deno task models base\`.
`;
}

/** The card of the aligned model. */
export function alignedCard(
  { first, last, before, after }: {
    first: EpochLog;
    last: EpochLog;
    before: number;
    after: number;
  },
): string {
  const percent = (share: number | undefined) => `${(100 * (share ?? NaN)).toFixed(1)} %`;
  return `---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
base_model: comments-base
---
# comments-aligned

comments-base after ${last.epoch} epochs of RLOO (32 prompts, 4 continuations each) against the reward of \`models/toxicity.json\`: the
"after" of an alignment whose reward is known.

${WARNING}

| while training | before | after |
|---|---|---|
| toxic texts (reward below 0) | ${percent(first.toxicity)} | ${percent(last.toxicity)} |
| KL to comments-base, nats a text | 0 | ${last.kl.toFixed(2)} |
| distinct-2 | ${first.distinct2.toFixed(2)} | ${last.distinct2.toFixed(2)} |
| words written | ${first.words.toFixed(1)} | ${last.words.toFixed(1)} |
| perplexity of neutral held-out comments | ${before.toFixed(1)} | ${after.toFixed(1)} |

- Data: prompts are the first two to four words of training comments.
- Made by: \`deno task models aligned\`.
`;
}
