/** Rows of the shapes that are in use, as pairs. */
import { assertEquals } from "@std/assert";
import { pairOf } from "../../src/pairs/mod.ts";

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const answer = { prompt: "2 + 2?", chosen: "4", rejected: "5" };

for (
  const [shape, row, pair] of [
    ["TRL explicit, texts", answer, answer],
    ["base and aligned", { prompt: "2 + 2?", base: "5", aligned: "4" }, answer],
    [
      "TRL explicit, messages",
      { prompt: [user("2 + 2?")], chosen: [assistant("4")], rejected: [assistant("5")] },
      answer,
    ],
    [
      "TRL implicit, messages",
      { chosen: [user("2 + 2?"), assistant("4")], rejected: [user("2 + 2?"), assistant("5")] },
      answer,
    ],
    [
      "prompt as text and again as the first message",
      {
        prompt: "2 + 2?",
        chosen: [user("2 + 2?"), assistant("4")],
        rejected: [user("2 + 2?"), assistant("5")],
      },
      answer,
    ],
    [
      "content in parts",
      {
        prompt: "2 + 2?",
        chosen: [{ role: "assistant", content: [{ type: "text", text: "4" }] }],
        rejected: "5",
      },
      answer,
    ],
    [
      "a longer dialogue",
      {
        chosen: [user("hi"), assistant("hello"), user("2 + 2?"), assistant("4")],
        rejected: [user("hi"), assistant("hello"), user("2 + 2?"), assistant("5")],
      },
      { ...answer, prompt: "user: hi\n\nassistant: hello\n\nuser: 2 + 2?" },
    ],
    [
      "HH-RLHF",
      {
        chosen: "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: 2 + 2?\n\nAssistant: 4",
        rejected: "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: 2 + 2?\n\nAssistant: 5",
      },
      { ...answer, prompt: "Human: hi\n\nAssistant: hello\n\nHuman: 2 + 2?\n\nAssistant:" },
    ],
    [
      "HH-RLHF that parts before the last turn",
      {
        chosen: "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: a?\n\nAssistant: 4",
        rejected: "\n\nHuman: hi\n\nAssistant: go away",
      },
      {
        prompt: "Human: hi\n\nAssistant:",
        chosen: "hello\n\nHuman: a?\n\nAssistant: 4",
        rejected: "go away",
      },
    ],
    ["no prompt", { chosen: "The sky is blue", rejected: "The sky is red", prompt: null }, {
      prompt: "",
      chosen: "The sky is blue",
      rejected: "The sky is red",
    }],
    [
      "cells of a table",
      { ...answer, chosen_reference: "0.5", rejected_reference: "-1e-3", label: "", group: "" },
      { ...answer, chosenReference: 0.5, rejectedReference: -0.001 },
    ],
    [
      "integers of Parquet",
      { ...answer, chosen_reference: 2n, rejected_reference: null, group: 7n, label: "NT->T" },
      { ...answer, chosenReference: 2, group: "7", label: "NT->T" },
    ],
  ] as const
) {
  Deno.test(`a row reads as a pair: ${shape}`, () => {
    assertEquals(pairOf(row as unknown as Record<string, unknown>), pair);
  });
}
