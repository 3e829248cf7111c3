/** Alignment of a tiny model with rewards that are plain to see. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
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
  type Algorithm,
  align,
  type AlignmentSettings,
  collapse,
  DEFAULT_ALIGNMENT,
  type EpochLog,
  generalisedAdvantages,
  groupNormalised,
  httpReward,
  layOut,
  leaveOneOut,
  PolicyTrainer,
  PreferenceTrainer,
  standardised,
  textFigures,
  TokenReader,
  ValueHead,
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

/** Which algorithms run where: each on wasm, one of each kind on the others. */
const WHERE: Record<Device, readonly Algorithm[]> = {
  wasm: ["rloo", "grpo", "ppo", "dpo"],
  native: ["rloo", "ppo", "dpo"],
  webgpu: ["rloo", "dpo"],
};
const polite = ["good day", "good sun", "bad night", "rain day"].map((chosen, at) => ({
  prompt: prompts[at % prompts.length]!,
  chosen,
  rejected: "12?!#3".slice(at),
}));

for (const [device, algorithms] of Object.entries(WHERE) as [Device, readonly Algorithm[]][]) {
  for (const algorithm of algorithms) {
    Deno.test(`${algorithm} makes the wanted texts likelier on ${device}`, async () => {
      await using runtime = await Runtime.open(device);
      const short = device === "webgpu" ? { epochs: 3, prompts: 2 } : {};
      const goal = algorithm === "dpo" ? polite : small;
      const judge = async (texts: readonly string[]) =>
        (await small(texts)).map((share) => share - 0.7);
      // Four pairs are soon known by heart, and then all texts are alike.
      const gentle = algorithm === "dpo" ? { learningRate: 0.008 } : {};
      const all = { ...settings, algorithm, ...short, ...gentle };
      const { log, stopped } = await align(runtime, model, goal, prompts, all, { judge });
      assertEquals(stopped, undefined);
      assertEquals(log.length, (short.epochs ?? settings.epochs) + 1);
      assert(Math.abs(log[0]!.kl) < 1e-4, `the policy starts as the reference, KL ${log[0]!.kl}`);
      if (device === "webgpu") return assert(log.at(-1)!.kl !== log[0]!.kl);
      const [first, last] = [log[0]!.toxicity!, log.at(-1)!.toxicity!];
      assert(last < first - 0.12, `unwanted share ${first} to ${last}`);
      assert(log.at(-1)!.kl > 0.1);
    });
  }
}

Deno.test("DPO's first loss is log 2, and a goal of the wrong kind is a named error", async () => {
  await using runtime = await Runtime.open("wasm");
  const options = { pairs: 2, beta: 0.1, maxTokens: 4 };
  await using trainer = await PreferenceTrainer.open(
    runtime,
    model,
    fullWeights(config, model.weights),
    polite,
    options,
  );
  assertAlmostEquals(await trainer.step(new Random(0), 0.01), Math.LN2, 1e-5);
  assert(await trainer.step(new Random(0), 0.01) < Math.LN2);
  const wrong = () => align(runtime, model, polite, prompts, settings);
  assertEquals((await assertRejects(wrong, FairlError)).code, "rlhf.goal");
});

Deno.test("a value head learns a linear value, and goes on from its state", () => {
  const random = new Random(1);
  const rows = Array.from({ length: 200 }, (_, row) => row);
  const states = random.normals(600, 1);
  const returns = rows.map((row) => 2 * states[3 * row]! - states[3 * row + 2]! + 0.5);
  const head = new ValueHead(3);
  assertEquals(head.at(states, 7), 0);
  for (let epoch = 0; epoch < 3; epoch++) head.learn(states, rows, returns);
  assertAlmostEquals(head.at(states, 7), returns[7]!, 0.05);
  const other = new ValueHead(3);
  other.load(head.state());
  assertEquals(other.at(states, 9), head.at(states, 9));
});

Deno.test("generalised advantages with lambda 1 are what came less what was expected", () => {
  const numbers = fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer()), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(fc.property(numbers, (steps) => {
    const rewards = steps.map(([reward]) => reward);
    const values = steps.map(([, value]) => value % 10);
    const { advantages, returns } = generalisedAdvantages(rewards, values, 1);
    rewards.forEach((_, at) => {
      const rest = rewards.slice(at).reduce((sum, reward) => sum + reward, 0);
      assertAlmostEquals(returns[at]!, rest, 1e-9);
      assertAlmostEquals(advantages[at]!, rest - values[at]!, 1e-9);
    });
  }));
});

Deno.test("a standardised reward has mean 0 and deviation 1 where it was taken, and a cap", async () => {
  const reward = standardised(small, [0, 1, 0, 1], 0.5);
  assertEquals(await reward(["ab", "12", "a1"], ["", "", ""]), [0.5, -1, 0]);
  assertThrows(() => standardised(small, [1, 1], 0.5), FairlError, "the same");
});

Deno.test("a reward server that fails is asked again, one that refuses is not", async () => {
  let asked = 0;
  let status = 503;
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    asked++;
    if (asked % 2 === 1) return new Response("busy", { status });
    return request.json().then(({ query, prompts }) =>
      Response.json({ rewards: query.map((_: string, at: number) => prompts[at].length) })
    );
  });
  const reward = httpReward(`http://127.0.0.1:${server.addr.port}/get_reward`);
  assertEquals(await reward(["a b", "c d"], ["a", "c "]), [1, 2]);
  assertEquals(asked, 2);
  status = 422;
  const failed = await assertRejects(() => reward(["a"], ["a"]), FairlError);
  assertEquals([failed.code, asked], ["rlhf.reward", 3]);
});

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

Deno.test("a step in micro-batches is the step of the whole batch", async () => {
  for (const algorithm of ["rloo", "ppo"] as const) {
    await using runtime = await Runtime.open("wasm");
    const run = (more: Partial<AlignmentSettings>) =>
      align(runtime, model, small, prompts, { ...settings, ...more, algorithm, epochs: 3 });
    const whole = await run({});
    // The last micro-batch is not full.
    const parts = await run({ microBatch: 5 });
    assert((settings.prompts * settings.group) % 5 !== 0);
    // Where a gradient is nearly zero AdamW moves by its sign, so single elements may differ.
    let [off, moved] = [0, 0];
    for (const [name, { data }] of Object.entries(whole.weights)) {
      data.forEach((value, at) => {
        off += (value - parts.weights[name]!.data[at]!) ** 2;
        moved += (value - model.weights[name]!.data[at]!) ** 2;
      });
    }
    assert(moved > 0 && Math.sqrt(off / moved) < 0.01, `${algorithm}: ${Math.sqrt(off / moved)}`);
    assertEquals(parts.log.map(({ reward }) => reward), whole.log.map(({ reward }) => reward));
  }
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
  const { log: read } = await reader.read(inputs);
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
  assertAlmostEquals(await trainer.step([given], 1e-3), -1 / tokens, 1e-5);
  await using after = await TokenReader.open(runtime, config, await trainer.weights(), {
    ...shape,
    temperature: 0.7,
  });
  assert((await after.read(inputs)).log[4]! > read[4]!);
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
    for (const advantagesOf of [leaveOneOut, groupNormalised]) {
      const advantages = advantagesOf(given.flat(), 3);
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
