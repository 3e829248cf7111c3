/**
 * Prints the values that go into each linear layer of Universal Sentence Encoder lite on sentences
 * of ParaDetox and Davidson, in the folder that FAIRL_MIRROR names: the source of USE_LITE_RANGES
 * in src/encode/use_lite_graph.ts.
 *
 *     FAIRL_MIRROR=../shared/data deno run -A tools/use_lite_ranges.ts
 */
import { Runtime, tensor } from "../src/runtime/mod.ts";
import { UnigramTokenizer } from "../src/encode/unigram.ts";
import { readUseLite } from "../src/encode/use_lite_files.ts";
import { USE_LITE_TOKENS, useLiteModel } from "../src/encode/use_lite_graph.ts";
import { sentences } from "../test/encode/texts.ts";

/** Which value goes into which layer, and its width. */
const INPUTS: Record<string, [value: string, width: number]> = {
  "widened": ["input/rows", 256],
  "first/qkv": ["first/norm", 256],
  "first/output": ["first/joined/rows", 256],
  "first/inner": ["first/inner-norm", 512],
  "first/outer": ["first/hidden", 1536],
  "second/qkv": ["second/norm", 512],
  "second/output": ["second/joined/rows", 512],
  "second/inner": ["second/inner-norm", 512],
};

const files = await readUseLite();
const tokenizer = new UnigramTokenizer(files.vocabulary);
await using runtime = await Runtime.open("auto");
const session = await runtime.session(
  useLiteModel(files, {}, Object.fromEntries(Object.values(INPUTS))),
);
const ranges = new Map(Object.keys(INPUTS).map((layer) => [layer, [0, 0]]));
for (const text of await sentences(4000)) {
  const ids = tokenizer.encode(text).slice(0, USE_LITE_TOKENS);
  const outputs = await session.run({ ids: tensor("int32", [1, ids.length], ids) });
  for (const [layer, [value]] of Object.entries(INPUTS)) {
    const range = ranges.get(layer)!;
    for (const number of (await runtime.read(outputs[value]!)).data as Float32Array) {
      if (number < range[0]!) range[0] = number;
      if (number > range[1]!) range[1] = number;
    }
  }
}
for (const [layer, range] of ranges) {
  // deno-lint-ignore no-console -- what a tool prints is its result
  console.log(`"${layer}": [${range.map((value) => value.toFixed(2)).join(", ")}],`);
}
