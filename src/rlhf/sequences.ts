/** Prompts with their continuations as the tensors that a policy's step is fed. */
import type { InputSpec } from "../graph/mod.ts";
import type { Generated } from "../lm/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";

/** A prompt's tokens and one continuation of it. */
export interface Sequence {
  /** Tokens of the prompt, the beginning of the text among them. */
  readonly prompt: Int32Array;
  /** What the policy wrote. */
  readonly written: Generated;
}

/** Sizes that a step is compiled for. */
export interface SequenceShape {
  /** Sequences that are computed at a time. */
  readonly rows: number;
  /** Longest prompt and continuation, in tokens. */
  readonly length: number;
  /** Longest continuation, in tokens. */
  readonly maxTokens: number;
}

/**
 * What the graph is fed: the tokens of every row; for each written token where the state before it
 * stands among all states, the token itself, 1 where one was written (0 for what fills the tensor) and 0
 * where the text might not end yet.
 */
export type SequenceInput = "tokens" | "places" | "targets" | "there" | "mayEnd";

/** Types and shapes of what the graph is fed. */
export function sequenceSpecs(
  { rows, length, maxTokens }: SequenceShape,
): Record<SequenceInput, InputSpec> {
  const written = [rows * maxTokens];
  return {
    tokens: { type: "int32", dims: [rows, length] },
    places: { type: "int32", dims: written },
    targets: { type: "int32", dims: written },
    there: { type: "float32", dims: written },
    mayEnd: { type: "float32", dims: written },
  };
}

/**
 * Lays sequences out, row by row, the written tokens of a row side by side.
 *
 * @param minTokens Written tokens before a text might end
 */
export function layOut(
  sequences: readonly Sequence[],
  { rows, length, maxTokens }: SequenceShape,
  minTokens: number,
): Record<SequenceInput, HostTensor> {
  const tokens = new Int32Array(rows * length);
  const count = rows * maxTokens;
  const [places, targets] = [new Int32Array(count), new Int32Array(count)];
  const [there, mayEnd] = [new Float32Array(count), new Float32Array(count).fill(1)];
  sequences.forEach(({ prompt, written }, row) => {
    tokens.set(prompt, row * length);
    // The last token is a target only.
    tokens.set(written.tokens.subarray(0, -1), row * length + prompt.length);
    written.tokens.forEach((token, at) => {
      const place = row * maxTokens + at;
      places[place] = row * length + prompt.length - 1 + at;
      targets[place] = token;
      there[place] = 1;
      mayEnd[place] = at < minTokens ? 0 : 1;
    });
  });
  return {
    tokens: tensor("int32", [rows, length], tokens),
    places: tensor("int32", [count], places),
    targets: tensor("int32", [count], targets),
    there: tensor("float32", [count], there),
    mayEnd: tensor("float32", [count], mayEnd),
  };
}

/** Sequences in micro-batches of as many rows as a graph is compiled for. */
export function microBatches<T>(sequences: readonly T[], { rows }: SequenceShape): T[][] {
  return Array.from(
    { length: Math.ceil(sequences.length / rows) },
    (_, at) => sequences.slice(at * rows, (at + 1) * rows),
  );
}

/** One number for each written token, in the layout of {@linkcode layOut}. */
export function perToken(
  sequences: readonly Sequence[],
  { rows, maxTokens }: SequenceShape,
  value: (row: number, at: number) => number,
): HostTensor<"float32"> {
  const data = new Float32Array(rows * maxTokens);
  sequences.forEach(({ written }, row) => {
    for (let at = 0; at < written.tokens.length; at++) data[row * maxTokens + at] = value(row, at);
  });
  return tensor("float32", [rows * maxTokens], data);
}
