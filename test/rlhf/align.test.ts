/** Alignment of a tiny model with rewards that are plain to see. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { FairlError, Random } from "../../src/base/mod.ts";
import {
  BOS,
  EOS,
  initialWeights,
  type LanguageModel,
  openTokenizer,
  parseConfig,
  trainBpe,
} from "../../src/lm/mod.ts";
import {
  align,
  type AlignmentSettings,
  collapse,
  DEFAULT_ALIGNMENT,
  type EpochLog,
  groupNormalised,
  layOut,
  leaveOneOut,
  PolicyTrainer,
  textFigures,
  TokenReader,
} from "../../src/rlhf/mod.ts";
import { fullWeights, Generator } from "../../src/lm/mod.ts";
import { type Device, Runtime } from "../../src/runtime/mod.ts";

const words = ["good", "bad", "day", "night", "sun", "rain"];
const json = trainBpe(words.flatMap((word) => [` ${word}`, word]), 290);
const tokenizer = await openTokenizer(json);
const config = parseConfig({
  model_type: "llama",
  vocab_size: 290,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  tie_word_embeddings: true,
  max_position_embeddings: 32,
  bos_token_id: BOS,
  eos_token_id: EOS,
});
const model: LanguageModel = {
  name: "tiny",
  hash: "tiny",
  config,
  weights: initialWeights(config, new Random(0)),
  tokenizer,
};
const settings: AlignmentSettings = {
  ...DEFAULT_ALIGNMENT,
  epochs: 30,
  prompts: 6,
  group: 4,
  maxTokens: 4,
  minTokens: 1,
  temperature: 1,
  learningRate: 0.03,
  beta: 0.01,
  shortPenalty: 0,
};
const prompts = ["good", "bad day", "sun"];
/** Share of a text's letters that are small ones: fresh weights write all bytes alike. */
const small = (texts: readonly string[]) =>
  Promise.resolve(texts.map((text) => (text.match(/[a-z]/g)?.length ?? 0) / (text.length || 1)));

for (const device of ["wasm", "native", "webgpu"] as Device[]) {
  for (const algorithm of device === "webgpu" ? ["rloo"] as const : ["rloo", "grpo"] as const) {
    Deno.test(`${algorithm} raises the reward on ${device}`, async () => {
      await using runtime = await Runtime.open(device);
      const short = device === "webgpu" ? { epochs: 3, prompts: 2 } : {};
      const { log, stopped } = await align(runtime, model, small, prompts, {
        ...settings,
        algorithm,
        ...short,
      });
      assertEquals(stopped, undefined);
      assertEquals(log.length, (short.epochs ?? settings.epochs) + 1);
      assert(Math.abs(log[0]!.kl) < 1e-4, `the policy starts as the reference, KL ${log[0]!.kl}`);
      if (device === "webgpu") return;
      const [first, last] = [log[0]!.reward, log.at(-1)!.reward];
      assert(last > first + 0.12, `reward ${first} to ${last}`);
      assert(log.at(-1)!.kl > 0.1);
    });
  }
}

Deno.test("a run that was stopped goes on to the same bytes", async () => {
  await using runtime = await Runtime.open("wasm");
  const through = await align(runtime, model, small, prompts, settings);
  const folder = await Deno.makeTempDir();
  const stop = new AbortController();
  const onEpoch = ({ epoch }: EpochLog) => {
    if (epoch === 5) stop.abort();
  };
  const part = await align(runtime, model, small, prompts, settings, {
    folder,
    onEpoch,
    signal: stop.signal,
  });
  assertEquals(part.stopped, "it was told to stop");
  assertEquals(part.log.length, 6);
  const resumed = await align(runtime, model, small, prompts, settings, { folder });
  assertEquals(resumed.weights, through.weights);
  assertEquals(resumed.log, through.log);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("the first step of the clipped surrogate is REINFORCE: its gradient reads what was written", async () => {
  await using runtime = await Runtime.open("wasm");
  const shape = { rows: 3, length: 8, maxTokens: 4 };
  const rows = prompts.map((text) => Int32Array.of(BOS, ...tokenizer.encode(text)).slice(0, 5));
  await using generator = await Generator.open(runtime, config, model.weights, { capacity: 12 });
  const written = await generator.generate(rows, { maxTokens: 4, minTokens: 2, temperature: 0.7 });
  const sequences = rows.map((prompt, at) => ({ prompt, written: written[at]! }));
  const inputs = layOut(sequences, shape, 2);
  await using reader = await TokenReader.open(runtime, config, model.weights, {
    ...shape,
    temperature: 0.7,
  });
  const read = await reader.read(inputs);
  sequences.forEach(({ written: { logProbabilities } }, row) =>
    logProbabilities.forEach((log, at) => assertAlmostEquals(read[row * 4 + at]!, log, 1e-4))
  );
  // With an advantage of 1 on one token of n, a step must raise that token's probability.
  await using trainer = await PolicyTrainer.open(runtime, fullWeights(config, model.weights), {
    ...shape,
    temperature: 0.7,
    clip: 0.2,
    klInLoss: 0,
  });
  const one = { ...inputs["there"]!, data: new Float32Array(12) };
  one.data[4] = 1;
  const log = { ...inputs["there"]!, data: Float32Array.from(read) };
  const given = { ...inputs, advantages: one, writtenLog: log, referenceLog: log };
  const tokens = written.reduce((sum, { tokens }) => sum + tokens.length, 0);
  assertAlmostEquals(await trainer.step(given, 1e-3), -1 / tokens, 1e-5);
  await using after = await TokenReader.open(runtime, config, await trainer.weights(), {
    ...shape,
    temperature: 0.7,
  });
  assert((await after.read(inputs))[4]! > read[4]!);
});

Deno.test("advantages sum to zero in every group and keep its order", () => {
  const groups = fc.array(
    fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 3, maxLength: 3 }),
    {
      minLength: 1,
      maxLength: 5,
    },
  );
  fc.assert(fc.property(groups, (given) => {
    for (const  of of[leaveOneOut, groupNormalised]) {
      const advantages = of(given.flat(), 3);
      given.forEach((rewards, at) => {
        const own = advantages.slice(3 * at, 3 * at + 3);
        assertAlmostEquals(own[0]! + own[1]! + own[2]!, 0, 1e-6);
        rewards.forEach((a, i) => rewards.forEach((b, j) => assert(a <= b || own[i]! > own[j]!)));
      });
    }
  }));
  assertEquals([...leaveOneOut([3, 1, 2], 3)], [1.5, -1.5, 0]);
});

Deno.test("texts that repeat themselves or vanish stop a run, with the reason", () => {
  const healthy = {
    ...textFigures(["a fine day", "rain at night"]),
    epoch: 0,
    reward: 0,
    kl: 0,
    entropy: 1,
    beta: 0,
  };
  const now = (texts: string[]) => ({ ...healthy, ...textFigures(texts) });
  assertEquals(collapse(healthy, now(["the sun again", "no more rain"])), undefined);
  assert(collapse(healthy, now(["a b a b a b a b", "c d e"]))?.includes("repeat"));
  assert(collapse(healthy, now(["fine", "", "a nice day"]))?.includes("empty"));
  assert(collapse(healthy, { ...healthy, kl: NaN })?.includes("finite"));
});

Deno.test("no prompt is a named error", async () => {
  await using runtime = await Runtime.open("wasm");
  const failed = align(runtime, model, small, [], settings);
  assertEquals((await assertRejects(() => failed, FairlError)).code, "rlhf.prompts");
});
