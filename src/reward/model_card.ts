/** The artefact's README.md: a model card in the form that Hugging Face reads. */
import { type Card, type CardInterval, GIVEN_FEATURES } from "./card.ts";
import { type Figure, FIGURES } from "./evaluate.ts";

/** What each figure is called, and what Hugging Face calls it where it knows it. */
const TITLES: Record<Figure, { readonly name: string; readonly type: string }> = {
  pairAccuracy: { name: "pair accuracy", type: "pair_accuracy" },
  accuracy: { name: "accuracy", type: "accuracy" },
  f1: { name: "F1", type: "f1" },
  rocAuc: { name: "ROC-AUC", type: "roc_auc" },
  starc: { name: "STARC", type: "starc" },
  epic: { name: "EPIC", type: "epic" },
  ece: { name: "ECE", type: "ece" },
  brier: { name: "Brier", type: "brier_score" },
};

/** What the rows of the table are, for those that are there. */
const ROWS: Readonly<Record<string, string>> = {
  "irl": "inverse reinforcement learning as published",
  "irl-tuned": "the same, tuned on validation pairs",
  "control": "the correction path of `fa-irl`, trained on all pairs instead of the failures",
  "fa-irl":
    "Failure-Aware IRL: a correction trained on the pairs that the base gets wrong or nearly ties",
  "length": "the number of characters; whether short or long is better is learned",
  "words": "a bag of words; it knows nothing of order or meaning",
};

/** What each plot shows, for those that are there. */
const CAPTIONS: Readonly<Record<string, string>> = {
  "rounds.svg": "Loss of the correction and the failures it was trained on, by round",
  "gaps.svg": "Gaps of the held-out pairs",
  "roc.svg": "ROC curves on the held-out texts",
  "reliability.svg": "Stated against observed probability",
  "learned-against-reference.svg": "Learned against reference reward",
};

/**
 * Writes the card's text.
 *
 * @param card What the artefact says of itself
 * @param plots Names of the files in `plots/`
 * @returns Markdown with YAML front matter; equal cards give equal texts
 */
export function modelCard(card: Omit<Card, "files">, plots: readonly string[]): string {
  return [
    frontMatter(card),
    `# The reward behind ${card.pairs.source}`,
    `A reward model that \`fairl train\` extracted from preference pairs. In each pair one text was
preferred over another, by an aligned language model or by people; this model is a guess at the
reward behind these preferences.`,
    meaning(card),
    making(card),
    measured(card),
    using(card),
    limits(card),
    ...(plots.length === 0 ? [] : [
      "## Plots",
      ...plots.map((name) => `![${CAPTIONS[name] ?? name}](plots/${name})`),
    ]),
  ].join("\n\n") + "\n";
}

function frontMatter({ licence, method, pairs, metrics }: Omit<Card, "files">): string {
  // A text in JSON is a text in YAML.
  const source = JSON.stringify(pairs.source);
  const results = FIGURES.flatMap((figure) => {
    const interval = metrics[method]?.[figure];
    if (!interval) return [];
    const { name, type } = TITLES[figure];
    return [
      `          - type: ${type}`,
      `            name: ${name}`,
      `            value: ${interval.value.toFixed(4)}`,
    ];
  });
  return [
    "---",
    `license: ${licence.toLowerCase()}`,
    "library_name: fairl",
    "tags:",
    "  - reward-model",
    "  - inverse-reinforcement-learning",
    "  - failure-aware-irl",
    "  - interpretability",
    "  - onnx",
    ...(results.length === 0 ? [] : [
      "model-index:",
      `  - name: ${JSON.stringify(`${method} on ${pairs.source}`)}`,
      "    results:",
      "      - task:",
      "          type: preference-ranking",
      "          name: Preference ranking",
      "        dataset:",
      `          type: ${source}`,
      `          name: ${source}`,
      "          split: test",
      "        metrics:",
      ...results,
    ]),
    "---",
  ].join("\n");
}

function meaning({ calibration, threshold }: Omit<Card, "files">): string {
  const { a, b } = calibration.text;
  return `## What the number means

A higher reward means: more like the texts that were preferred. Only differences and order mean
something, since a reward has no natural zero and no natural unit. Here the unit is one deviation of
the gaps between the two texts of a training pair, and texts above ${
    figure(threshold)
  } (the midpoint
of the mean preferred and the mean rejected training text) count as not toxic.

For a reward r, the probability that a text is not toxic is

    1 / (1 + exp(-(${figure(a)} r ${b < 0 ? "-" : "+"} ${figure(Math.abs(b))})))

It was calibrated on validation pairs (Platt scaling) and holds for texts like these.`;
}

function making(card: Omit<Card, "files">): string {
  const { encoder, pairs, device } = card;
  const box = card.box === "black"
    ? "texts alone were used (black box)"
    : "texts and both models' log-probabilities were used (white box)";
  return `## How it was made

- Method: ${card.method}, objective ${card.objective}, ${card.head} base, seed ${card.seed}; ${box}
- Features: ${encoder.id}, ${encoder.dimension} numbers for each text
- Pairs: ${pairs.source}, ${pairs.kept} of ${pairs.read} rows kept; ${pairs.train} for training,
  ${pairs.validation} for validation, ${pairs.test} for the test; no text stands in two of them
- SHA-256 of the pairs: \`${pairs.contentHash}\`
- Device: ${device.name} (${device.detail})
- Versions: ${Object.entries(card.versions).map(([name, value]) => `${name} ${value}`).join(", ")}

All settings stand in \`card.json\`, each round of training in \`training.jsonl\`.`;
}

function measured({ method, metrics, pairs, reference }: Omit<Card, "files">): string {
  const distances = reference === null
    ? "There was no reference reward to measure a distance to."
    : `STARC and EPIC are distances to the reference reward
"${reference}",
which the training never saw: 0 is the same reward, 0.71 an unrelated one, 1 the opposite.`;
  const rows = Object.entries(metrics).map(([name, figures]) => {
    const title = name === method ? `**${name}**` : name;
    return `| ${[title, ...FIGURES.map((figure) => cell(figures[figure]))].join(" | ")} |`;
  });
  return `## What it measured

On ${pairs.test} held-out pairs, with 95 % bootstrap intervals over groups of connected pairs. Higher is
better up to ROC-AUC, lower from STARC on. ${distances}

| reward | ${FIGURES.map((figure) => TITLES[figure].name).join(" | ")} |
|---|${FIGURES.map(() => "---").join("|")}|
${rows.join("\n")}

${
    Object.keys(metrics).filter((name) => name in ROWS)
      .map((name) => `- \`${name}\`: ${ROWS[name]}`).join("\n")
  }

\`reward.onnx\` holds **${method}**.`;
}

function using({ encoder }: Omit<Card, "files">): string {
  const scoring = encoder.name === GIVEN_FEATURES ? "From" : `\`\`\`sh
echo "have a nice day" | deno task score FOLDER
\`\`\`

or from`;
  return `## Using it

${scoring} any language with plain onnxruntime; in Python, in this folder:

\`\`\`python
import json, numpy, onnxruntime
card = json.load(open("card.json"))
session = onnxruntime.InferenceSession("reward.onnx")
# One row for each text: its features by the encoder above.
features = numpy.zeros((1, ${encoder.dimension}), numpy.float32)
(reward,) = session.run(["reward"], {"features": features})
scaling = card["calibration"]["text"]
probability = 1 / (1 + numpy.exp(-(scaling["a"] * reward + scaling["b"])))
print(reward.tolist(), probability.tolist())
\`\`\``;
}

function limits({ encoder, pairs }: Omit<Card, "files">): string {
  const ofTexts = encoder.name === GIVEN_FEATURES ? "" : `
- It repeats what its pairs and its encoder are biased towards. Words that name a group of people can
  lower a reward without any insult.
- The texts that it was trained on, and those that one scores with it, may be offensive.`;
  return `## Limits

- It is what one method made of one set of pairs on one encoder. Other rewards explain the same
  preferences as well; the rows above show how much the method alone changes.
- Texts unlike those of ${pairs.source} get a number too. It says little there.
- It is made to study what a language model was trained to want. Do not let a single text's reward
  decide anything about a person, and do not train a model against it without watching for texts
  that please the reward and nobody else.${ofTexts}`;
}

function cell(interval: CardInterval | null): string {
  if (!interval) return "";
  const { value, low, high } = interval;
  if (low === null || high === null) return value.toFixed(3);
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
}

/** Three decimals at most; a threshold of -1e-8 is 0 to a reader. */
function figure(value: number): string {
  return String(Math.round(value * 1000) / 1000 + 0);
}
