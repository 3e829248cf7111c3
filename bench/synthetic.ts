// deno-lint-ignore-file no-console -- a bench prints its table
/** Worlds with a known reward: STARC to R* beside what the same head reaches when trained on R* itself. */
import { Random } from "../src/base/mod.ts";
import {
  adamW,
  add,
  gather,
  matmul,
  mul,
  Program,
  reduceMean,
  reduceSum,
  squeeze,
  sub,
  tanh,
  Trainer,
  type Value,
} from "../src/graph/mod.ts";
import { defaultSettings, extract, METHODS } from "../src/irl/mod.ts";
import { splitPairs, type SyntheticOptions, syntheticPairs, textsOf } from "../src/pairs/mod.ts";
import { clusterIds } from "../src/metrics/mod.ts";
import { evaluateHead } from "../src/reward/mod.ts";
import { type HostTensor, Runtime, tensor } from "../src/runtime/mod.ts";
import { starc } from "../src/starc/mod.ts";

type Weights = Record<string, HostTensor<"float32">>;

/** The correction's form beside a linear path: what FA-IRL's head can express. */
function reward(weights: Record<string, Value>, features: Value): Value {
  const hidden = tanh(add(matmul(features, weights["hidden"]!), weights["bias"]!));
  const sum = add(matmul(features, weights["weight"]!), matmul(hidden, weights["output"]!));
  return squeeze(sum, [1]);
}

/** Texts in a step, and passes over them. */
const [BATCH, EPOCHS] = [256, 150];

/**
 * Least squares on R* itself: the best that the head reaches on the texts of the training pairs. Step
 * size, penalty and length are the best of a dozen tried, seen on R*: what is compared with it is not.
 */
async function direct(
  runtime: Runtime,
  train: Float32Array<ArrayBuffer>,
  truth: Float32Array<ArrayBuffer>,
  test: Float32Array<ArrayBuffer>,
  dimension: number,
): Promise<Float32Array> {
  const random = new Random(0, "direct");
  const hidden = 64;
  const rows = truth.length;
  const steps = Math.floor(rows / BATCH);
  const matrix = (data: Float32Array<ArrayBuffer>) =>
    tensor("float32", [data.length / dimension, dimension], data);
  const parameters: Weights = {
    weight: tensor("float32", [dimension, 1], new Float32Array(dimension)),
    hidden: tensor(
      "float32",
      [dimension, hidden],
      random.normals(dimension * hidden, dimension ** -0.5),
    ),
    bias: tensor("float32", [hidden], new Float32Array(hidden)),
    output: tensor("float32", [hidden, 1], new Float32Array(hidden)),
  };
  await using trainer = await Trainer.open(runtime, {
    parameters: Object.fromEntries(
      Object.entries(parameters).map(([name, value]) => [name, { value }]),
    ),
    constants: { features: matrix(train), truth: tensor("float32", [rows], truth) },
    batch: { index: { type: "int32", dims: [BATCH] } },
    loss({ parameters, constants, batch: { index } }) {
      const features = gather(constants["features"]!, index!);
      const error = sub(reward(parameters, features), gather(constants["truth"]!, index!));
      const hidden = parameters["hidden"]!;
      return add(reduceMean(mul(error, error)), mul(reduceSum(mul(hidden, hidden)), 5e-5));
    },
    optimizer: adamW({ weightDecay: 0.01 }),
    stepsPerRun: steps,
  });
  const order = Int32Array.from({ length: rows }, (_, row) => row);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    random.shuffle(order);
    await trainer.run({
      batch: { index: tensor("int32", [steps, BATCH], order.slice(0, steps * BATCH)) },
      learningRate: 1e-2 * (1 - epoch / EPOCHS),
    });
  }
  const program = await Program.open(runtime, {
    constants: { features: matrix(test) },
    inputs: Object.fromEntries(
      Object.entries(parameters).map(([name, { type, dims }]) => [name, { type, dims: [...dims] }]),
    ),
    outputs: ({ constants, inputs }) => ({ reward: reward(inputs, constants["features"]!) }),
  });
  const result = await program.run(await trainer.parameters());
  await program.dispose();
  return result["reward"]!.data as Float32Array;
}

const worlds: [string, SyntheticOptions][] = [
  ["linear", {}],
  ["non-linear", { reward: "nonlinear" }],
  ["noisy", { reward: "noisy" }],
  ["blind spot 20 %", { blindSpot: 0.2 }],
];

if (import.meta.main) {
  const [device = "auto", names = "0,1,2", only] = Deno.args;
  const seeds = names.split(",").map(Number);
  await using runtime = await Runtime.open(device as "auto");
  console.log(`4,000 pairs, 2 a prompt; STARC to R* on held-out texts, mean of seeds 0-2\n`);
  console.log(
    `| world | ${METHODS.join(" | ")} | head on R* itself | pairs right: ${METHODS.join(" / ")} |`,
  );
  console.log(`|---|${METHODS.map(() => "---").join("|")}|---|---|`);
  for (
    const [name, options] of worlds.filter(([name]) => !only || only.split(",").includes(name))
  ) {
    const sums = new Float64Array(METHODS.length + 1);
    const right = new Float64Array(METHODS.length);
    for (const seed of seeds) {
      const { pairs, truth } = syntheticPairs({ ...options, inputs: "features" }, seed);
      const { texts, chosen, rejected } = textsOf(pairs);
      const dimension = truth.dimension!;
      const rowOf = new Map(truth.texts.map((text, row) => [text, row]));
      const rows = texts.map((text) => rowOf.get(text)!);
      const pick = (from: number[]) => {
        const result = new Float32Array(from.length * dimension);
        from.forEach((row, at) =>
          result.set(
            truth.features!.subarray(row * dimension, (row + 1) * dimension),
            at * dimension,
          )
        );
        return result;
      };
      const split = splitPairs(pairs, { seed });
      const prompts = clusterIds(pairs.map(({ prompt }) => prompt));
      const { heads } = await extract(runtime, {
        features: pick(rows),
        dimension,
        chosen,
        rejected,
        prompts,
        train: split.train,
        validation: split.validation,
        // As `train` does for worlds: their pairs are put in order by R* and not by who wrote them.
      }, { ...defaultSettings("max-entropy", seed), acrossPairs: 0 });
      const of = (
        part: Int32Array,
      ) => [...new Set([...part].flatMap((pair) => [chosen[pair]!, rejected[pair]!]))];
      const [trainRows, testRows] = [of(split.train), of(split.test)];
      const real = (at: number[]) => Float32Array.from(at, (row) => truth.reward[rows[row]!]!);
      const byPrompt = { groups: clusterIds(testRows.map((row) => truth.prompts[rows[row]!]!)) };
      const test = pick(testRows.map((row) => rows[row]!));
      const place = new Map(testRows.map((row, at) => [row, at]));
      const judge = (values: Float32Array) => starc(values, real(testRows), byPrompt);
      for (const [at, method] of METHODS.entries()) {
        const values = await evaluateHead(runtime, heads[method], test);
        sums[at]! += judge(values) / seeds.length;
        let correct = 0;
        for (const pair of split.test) {
          const gap = values[place.get(chosen[pair]!)!]! - values[place.get(rejected[pair]!)!]!;
          if (gap > 0) correct++;
        }
        right[at]! += correct / split.test.length / seeds.length;
      }
      const trained = pick(trainRows.map((row) => rows[row]!));
      sums[METHODS.length]! +=
        judge(await direct(runtime, trained, real(trainRows), test, dimension)) / seeds.length;
    }
    const figures = Array.from(sums, (value) => value.toFixed(3)).join(" | ");
    console.log(
      `| ${name} | ${figures} | ${Array.from(right, (value) => value.toFixed(3)).join(" / ")} |`,
    );
  }
}
