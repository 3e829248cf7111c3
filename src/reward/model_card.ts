/** The artefact's README.md: a model card in the form that Hugging Face reads. */
import type { Card } from "./card.ts";
import { type Figure, FIGURES } from "./evaluate.ts";

const TITLES: Record<Figure, string> = {
  pairAccuracy: "pair accuracy",
  accuracy: "accuracy",
  f1: "F1",
  rocAuc: "ROC-AUC",
  starc: "STARC",
  epic: "EPIC",
  ece: "ECE",
  brier: "Brier",
};

/**
 * Writes the card's text.
 *
 * @param plots Names of the files in `plots/`
 */
export function modelCard(card: Omit<Card, "files">, plots: readonly string[]): string {
  const { encoder, pairs } = card;
  const lines = [
    "---",
    `license: ${card.licence.toLowerCase()}`,
    "library_name: fairl",
    "tags:",
    ...["reward-model", "inverse-reinforcement-learning", "fa-irl", "onnx"].map((tag) =>
      `  - ${tag}`
    ),
    "---",
    "",
    `# The reward behind ${pairs.source}`,
    "",
    "A reward model that `fairl train` extracted from preference pairs: what the aligned model seems to",
    "want, read off its preferences. A higher reward means more like what it prefers. Reward 0 is the",
    "midpoint between chosen and rejected training texts; a difference of 1 is one deviation of the",
    "training gaps. Only differences and order mean something: a reward has no natural zero or scale.",
    "",
    `- Method: ${card.method}, objective ${card.objective}, ${card.head} base, seed ${card.seed}`,
    `- Features: ${encoder.id}, ${encoder.dimension} numbers a text`,
    `- Pairs: ${pairs.source}, ${pairs.kept} of ${pairs.read} rows kept; ${pairs.train} for training, ` +
    `${pairs.validation} for validation, ${pairs.test} for the test; SHA-256 ${pairs.contentHash}`,
    `- Trained on ${card.device.name} (${card.device.detail})`,
    `- Box: ${card.box} (${card.box === "black" ? "texts alone" : "texts and log-probabilities"})`,
    "",
    "## What it measured",
    "",
    `On ${pairs.test} held-out pairs that share no text with training; 95 % bootstrap intervals over`,
    `groups of connected pairs. STARC and EPIC are distances to ${
      card.reference ?? "no reference"
    }:`,
    "0 is the same reward, 0.71 an unrelated one, 1 the opposite.",
    "",
    `| reward | ${FIGURES.map((figure) => TITLES[figure]).join(" | ")} |`,
    `|---|${FIGURES.map(() => "---").join("|")}|`,
    ...Object.entries(card.metrics).map(([name, figures]) =>
      `| ${name === card.method ? `**${name}**` : name} | ` +
      FIGURES.map((figure) => {
        const interval = figures[figure];
        if (!interval) return "";
        const { value, low, high } = interval;
        const limits = low === null || high === null
          ? ""
          : ` (${low.toFixed(3)} to ${high.toFixed(3)})`;
        return value.toFixed(3) + limits;
      }).join(" | ") + " |"
    ),
    "",
    "`irl` is IRL as published, `irl-tuned` the same tuned on validation pairs, `control` the same",
    "correction path as `fa-irl` trained on all pairs; `length` and `words` know nothing of meaning.",
    "",
    "## Using it",
    "",
    "```sh",
    'echo "have a nice day" | deno task score FOLDER',
    "```",
    "",
    "or with plain onnxruntime, on features of the encoder above:",
    "",
    "```python",
    "import numpy, onnxruntime",
    'session = onnxruntime.InferenceSession("reward.onnx")',
    `features = numpy.zeros((1, ${encoder.dimension}), numpy.float32)`,
    'print(session.run(["reward"], {"features": features}))',
    "```",
    "",
    "## Limits",
    "",
    "It is what one method made of one set of pairs on one encoder. It was never shown the reference",
    "reward. Texts unlike the training texts get a number too; their quantile says little. Do not read",
    "a single text's reward as a judgement of a person.",
    "",
    ...(plots.length > 0 ? ["## Plots", ""] : []),
    ...plots.map((name) => `![${name.replace(/\.svg$/, "").replaceAll("-", " ")}](plots/${name})`),
    "",
  ];
  return lines.join("\n");
}
