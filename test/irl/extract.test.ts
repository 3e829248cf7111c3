/** The whole trainer on small worlds with a known reward, on each device. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import {
  defaultSettings,
  extract,
  type ExtractionData,
  type ExtractionSettings,
  keptIn,
  METHODS,
  OBJECTIVES,
  type Stages,
} from "../../src/irl/mod.ts";
import { evaluateHead, type RewardHead } from "../../src/reward/mod.ts";
import { type Device, Runtime } from "../../src/runtime/mod.ts";

const DIMENSION = 12;

/** Pairs of random texts, the better one by `reward` chosen. */
function world(count: number, reward: (f: Float32Array) => number, seed = 0): ExtractionData {
  const features = new Random(seed, "world").normals(2 * count * DIMENSION);
  const of = (row: number) => reward(features.subarray(row * DIMENSION, (row + 1) * DIMENSION));
  const pairs = Int32Array.from({ length: count }, (_, pair) => pair);
  const first = pairs.map((pair) => of(2 * pair) >= of(2 * pair + 1) ? 0 : 1);
  const train = Math.floor(count * 0.8);
  return {
    features,
    dimension: DIMENSION,
    chosen: pairs.map((pair) => 2 * pair + first[pair]!),
    rejected: pairs.map((pair) => 2 * pair + 1 - first[pair]!),
    prompts: pairs,
    train: pairs.subarray(0, train),
    validation: pairs.subarray(train),
  };
}

const linear = (f: Float32Array) => f[0]! - 0.5 * f[1]! + 0.25 * f[2]!;

/** The default settings, shortened. */
function quick(objective: typeof OBJECTIVES[number] = "max-entropy"): ExtractionSettings {
  const settings = defaultSettings(objective, 3);
  const shorter = [{ ...settings.correction[0]!, rounds: 2, epochs: 2, learningRate: 1e-3 }];
  return {
    ...settings,
    batch: 32,
    published: { ...settings.published, learningRate: 1e-2, epochs: 25 },
    tuned: [{ sharpness: 1, learningRate: 1e-2, epochs: 25, ridge: 0 }],
    correction: shorter,
    control: shorter,
    correctionShape: { kind: "mlp", hidden: 8 },
  };
}

async function accuracy(runtime: Runtime, head: RewardHead, test: ExtractionData): Promise<number> {
  const rewards = await evaluateHead(runtime, head, test.features);
  const right = test.chosen.filter((row, pair) => rewards[row]! > rewards[test.rejected[pair]!]!);
  return right.length / test.chosen.length;
}

const devices: Device[] = ["wasm", "native", "webgpu"];
const rewardsOn = new Map<Device, Float32Array>();

for (const device of devices) {
  Deno.test(`all four rewards find a linear reward on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const { heads, log } = await extract(runtime, world(400, linear), quick());
    const unseen = world(400, linear, 1);
    for (const method of METHODS) {
      const share = await accuracy(runtime, heads[method], unseen);
      assert(share > 0.9, `${method} ranks ${share} of the pairs right`);
    }
    assertEquals(log.filter((line) => line.kind === "round").length, 4);
    rewardsOn.set(device, await evaluateHead(runtime, heads["fa-irl"], unseen.features));
  });
}

Deno.test("the same training on wasm, native and WebGPU gives the same reward", () => {
  const reference = rewardsOn.get("wasm")!;
  for (const device of ["native", "webgpu"] as const) {
    rewardsOn.get(device)!.forEach((value, row) =>
      assertAlmostEquals(value, reference[row]!, 2e-3, `${device}, text ${row}`)
    );
  }
});

Deno.test("one seed gives the same bytes twice, another seed others", async () => {
  await using runtime = await Runtime.open("wasm");
  const data = world(200, linear);
  const first = await extract(runtime, data, quick());
  assertEquals(await extract(runtime, data, quick()), first);
  const other = await extract(runtime, data, { ...quick(), seed: 4 });
  assert(JSON.stringify(other.validation) !== JSON.stringify(first.validation));
});

Deno.test("a run that was stopped after any stage goes on to the same bytes", async () => {
  await using runtime = await Runtime.open("wasm");
  const data = world(200, linear);
  const folder = await Deno.makeTempDir();
  const whole = await extract(runtime, data, quick());
  const kept = keptIn(folder, "x");
  let stopped = 0;
  for (;;) {
    // Each attempt finishes one new stage and is then stopped in the middle of the next.
    const controller = new AbortController();
    let fresh = 0;
    const stages: Stages = {
      run: (name, work) =>
        kept.run(name, () => {
          if (fresh++) controller.abort();
          return work();
        }),
    };
    try {
      const resumed = await extract(runtime, data, quick(), { stages, signal: controller.signal });
      assertEquals(resumed, whole);
      break;
    } catch (error) {
      assertEquals((error as Error).name, "AbortError");
      stopped++;
    }
  }
  assert(stopped >= 6, `only ${stopped} stops`);
  await Deno.remove(folder, { recursive: true });
});

for (const objective of OBJECTIVES) {
  Deno.test(`${objective} with an MLP base trains on wasm`, async () => {
    await using runtime = await Runtime.open("wasm");
    const settings = { ...quick(objective), head: { kind: "mlp", hidden: 8 } as const };
    const { heads } = await extract(runtime, world(600, linear), settings);
    const share = await accuracy(runtime, heads["irl-tuned"], world(400, linear, 1));
    assert(share > 0.85, `ranks ${share} of the pairs right`);
  });
}

Deno.test("a blind spot that no linear reward can show is repaired by the correction", async () => {
  await using runtime = await Runtime.open("wasm");
  const flipped = (f: Float32Array) => f[3]! > 0.8 ? -f[0]! : f[0]!;
  const settings = {
    ...quick(),
    correctionShape: { kind: "mlp", hidden: 32 } as const,
    correction: defaultSettings("max-entropy", 3).correction.slice(1),
  };
  const { heads } = await extract(runtime, world(4000, flipped), settings);
  const unseen = world(2000, flipped, 1);
  const before = await accuracy(runtime, heads["irl-tuned"], unseen);
  const after = await accuracy(runtime, heads["fa-irl"], unseen);
  assert(after > before + 0.03, `${before} to ${after}`);
});

Deno.test("of settings that validation pairs cannot tell apart the simplest is taken", async () => {
  await using runtime = await Runtime.open("wasm");
  const settings = quick();
  const [setting] = settings.tuned;
  const heavy = { ...setting!, ridge: 100 };
  const norm = async (data: ExtractionData, tuned: typeof settings.tuned) => {
    const { heads } = await extract(runtime, data, { ...settings, tuned });
    const [path] = heads["irl-tuned"].paths;
    if (path?.kind !== "linear") throw new Error("The base path is linear");
    return Math.hypot(...path.weight) * path.coefficient;
  };
  // A coin chooses: nothing tells the two apart. Where the reward is plain to see, the penalty costs.
  const coin = new Random(5, "coin");
  const idle = world(200, () => coin.uniform());
  assertAlmostEquals(await norm(idle, [heavy, setting!]), await norm(idle, [heavy]), 1e-6);
  const plain = world(600, linear);
  const first = { ...setting!, epochs: 1, learningRate: 1e-4, ridge: 1e4 };
  assertAlmostEquals(await norm(plain, [first, setting!]), await norm(plain, [setting!]), 0.05);
});

Deno.test("too few pairs and features that say nothing are named errors", async () => {
  await using runtime = await Runtime.open("wasm");
  const data = world(50, linear);
  const few = { ...data, validation: new Int32Array(1) };
  const error = await assertRejects(() => extract(runtime, few, quick()), FairlError);
  assertEquals(error.code, "irl.too-few");
  const flat = { ...data, features: new Float32Array(data.features.length) };
  const constant = await assertRejects(() => extract(runtime, flat, quick()), FairlError);
  assertEquals(constant.code, "irl.constant-features");
});
