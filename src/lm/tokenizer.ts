/** The tokenizer of a language model, from its tokenizer.json. */
import { z } from "zod";
import { FairlError, messageOf } from "../base/mod.ts";

/** Text to tokens and back. */
export interface TextTokenizer {
  /** Tokens of a text, without special ones around it. */
  encode(text: string): Int32Array<ArrayBuffer>;
  /** The text of tokens; special ones are left out. */
  decode(tokens: ArrayLike<number>): string;
  /** The content of tokenizer.json, to be kept beside a model. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * Opens a tokenizer with @huggingface/tokenizers.
 *
 * @param json The content of tokenizer.json
 * @param config The content of tokenizer_config.json
 * @throws FairlError `lm.tokenizer` when it is none that the library knows
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { trainBpe } from "./bpe.ts";
 * import { openTokenizer } from "./tokenizer.ts";
 * const { encode, decode } = await openTokenizer(trainBpe(["good morning", "good night"], 270));
 * assert(decode(encode("Good grief!")) === "Good grief!");
 * assert(encode("good").length < 4);
 * ```
 */
export async function openTokenizer(
  json: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<TextTokenizer> {
  const { Tokenizer } = await import("@huggingface/tokenizers");
  let tokenizer: InstanceType<typeof Tokenizer>;
  try {
    tokenizer = new Tokenizer(json, config);
  } catch (error) {
    throw new FairlError("lm.tokenizer", `tokenizer.json cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return {
    json,
    encode: (text) => Int32Array.from(tokenizer.encode(text, { add_special_tokens: false }).ids),
    decode: (tokens) =>
      // Its own decoder refuses an empty list.
      tokens.length === 0 ? "" : tokenizer.decode(Array.from(tokens), {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: false,
      }),
  };
}

const Added = z.object({
  added_tokens: z.array(z.object({ id: z.int(), content: z.string() })).default([]),
});

/**
 * The token that texts begin with: the model's own, but for chat models whose own opens a turn. Their
 * documents are separated by `<|endoftext|>`, and that is what a text begins after.
 *
 * @param json The content of tokenizer.json
 * @param bos What the model's settings say
 */
export function textStart(json: Readonly<Record<string, unknown>>, bos: number): number {
  const added = Added.safeParse(json).data?.added_tokens ?? [];
  if (!added.some(({ id, content }) => id === bos && content === "<|im_start|>")) return bos;
  return added.find(({ content }) => content === "<|endoftext|>")?.id ?? bos;
}
