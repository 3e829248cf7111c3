/** An artefact that the tests of this room share. */
import { type ArtefactParts, headModel, type RewardHead } from "../../src/reward/mod.ts";
import { randomHead } from "./heads.ts";

const interval = { value: 0.9876, low: 0.9812, high: 0.9904, n: 500 };
const figures = {
  pairAccuracy: interval,
  accuracy: interval,
  f1: interval,
  rocAuc: interval,
  starc: { value: 0.2, low: 0.19, high: 0.21, n: 500 },
  epic: null,
  ece: interval,
  brier: interval,
};

/** What an artefact of a head on 16 features is made of. */
export function exampleParts(head: RewardHead = randomHead(0, 16, 8)): ArtefactParts {
  return {
    model: headModel(head),
    training: [{ kind: "round", round: 1, losses: [0.5, 0.25] }, { kind: "end" }],
    plots: { "gaps.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>" },
    card: {
      format: 1,
      method: "fa-irl",
      objective: "max-margin",
      head: "linear",
      box: "black",
      encoder: { name: "use-lite", id: "use-lite:test", dimension: head.dimension },
      seed: 0,
      device: { name: "wasm", detail: "onnxruntime-web, 2 cores", software: false },
      versions: { fairl: "0.1.0", deno: "2.9.6", onnxruntime: "1.30.0" },
      pairs: {
        source: 'pairs: of "mine".jsonl',
        contentHash: "0".repeat(64),
        read: 1000,
        kept: 990,
        train: 700,
        validation: 90,
        test: 200,
        duplicates: 4,
        equalTexts: 3,
        emptyTexts: 2,
        conflicts: 1,
        problems: { "pairs.row": 1 },
      },
      reference: "davidson",
      metrics: { irl: figures, "fa-irl": figures, length: { ...figures, starc: null } },
      validation: { irl: 0.5, "fa-irl": 0.4 },
      calibration: { text: { a: 2, b: 0.1 }, pair: { a: 1, b: 0 } },
      threshold: 0,
      quantiles: [-2, -1, 0, 1, 2],
      settings: { margin: 1 },
      licence: "Apache-2.0",
      created: "2026-01-02T03:04:05.678Z",
    },
  };
}
