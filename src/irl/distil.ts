/** The white box: both models' log-ratio, distilled into a reward of texts alone. */
import {
  adamW,
  add,
  matmul,
  mul,
  neg,
  reduceMean,
  reduceSum,
  softplus,
  squeeze,
  sub,
  Trainer,
} from "../graph/mod.ts";
import { type Runtime, tensor } from "../runtime/mod.ts";
import type { RewardHead } from "../reward/mod.ts";
import { gapsOf, type PairFeatures, standardisation, standardised } from "./data.ts";
import type { ExtractionData } from "./extract.ts";
import { differencesOf } from "./path.ts";
import { deviation } from "./separation.ts";

/** Weight of the squared error to the implicit gap beside the pair loss (METHOD.md). */
const LAMBDA = 1;
/** Penalties on the squared norm; the one with the lowest error on validation pairs is taken. */
const RIDGES = [1, 0.3, 0.1, 0.03, 0.01, 0.003];
const STEPS = 20;
const RUNS = 12;
const RATE = 3e-3;

/**
 * A linear reward whose gaps follow the preferences and the implicit reward: Bradley-Terry loss plus
 * the squared error to the standardised gap of log p_aligned - log p_base (C: METHOD.md; the implicit
 * reward is that of Rafailov et al. 2023, equation 5). Only for who holds both models; it gives a
 * reward that reads texts alone, where the implicit reward itself needs the models at hand.
 *
 * @param implicit The implicit reward of each text (row of the features), in nats
 * @returns a head with unit and zero as {@linkcode extract}'s heads have them
 */
export async function distil(
  runtime: Runtime,
  data: ExtractionData,
  implicit: Float32Array,
): Promise<RewardHead> {
  const form = standardisation(data, data.train);
  const parts = { train: data.train, validation: data.validation };
  const gaps = (pairs: Int32Array) =>
    Float32Array.from(
      pairs,
      (pair) => implicit[data.chosen[pair]!]! - implicit[data.rejected[pair]!]!,
    );
  const unit = deviation(gaps(parts.train)) || 1;
  const targets = gaps(parts.train).map((gap) => gap / unit);
  const train = standardised(data, parts.train, form);
  const differences = differencesOf(train);
  const { dimension } = data;
  await using trainer = await Trainer.open(runtime, {
    parameters: {
      weight: { value: tensor("float32", [dimension, 1], new Float32Array(dimension)) },
    },
    constants: {
      differences,
      targets: tensor("float32", [targets.length], targets),
    },
    inputs: { ridge: { type: "float32", dims: [] } },
    loss({ parameters: { weight }, constants, inputs: { ridge } }) {
      const own = squeeze(matmul(constants["differences"]!, weight!), [1]);
      const error = sub(own, constants["targets"]!);
      const fit = add(reduceMean(softplus(neg(own))), mul(reduceMean(mul(error, error)), LAMBDA));
      return add(fit, mul(reduceSum(mul(weight!, weight!)), mul(ridge!, 0.5)));
    },
    optimizer: adamW({ weightDecay: 0 }),
    stepsPerRun: STEPS,
  });
  const validation = standardised(data, parts.validation, form);
  const wanted = gaps(parts.validation).map((gap) => gap / unit);
  let best: { weight: Float32Array<ArrayBuffer>; error: number } | undefined;
  for (const ridge of RIDGES) {
    await trainer.reset();
    const inputs = { ridge: tensor("float32", [], Float32Array.of(ridge)) };
    for (let run = 0; run < RUNS; run++) {
      await trainer.run({ inputs, learningRate: RATE * (1 - run / RUNS) });
    }
    const weight = (await trainer.parameters())["weight"]!.data;
    const found = gapsOf(validation, valuesOf(validation, weight));
    const error = found.reduce((sum, gap, pair) => sum + (gap - wanted[pair]!) ** 2, 0);
    if (!best || error < best.error) best = { weight, error };
  }
  const { weight } = best!;
  const rewards = valuesOf(train, weight);
  const scale = deviation(gapsOf(train, rewards)) || 1;
  const average = (rows: Int32Array) =>
    rows.reduce((sum, row) => sum + rewards[row]!, 0) / rows.length;
  return {
    dimension,
    ...form,
    paths: [{ kind: "linear", coefficient: 1, weight }],
    unit: scale,
    offset: (average(train.chosen) + average(train.rejected)) / 2 / scale,
  };
}

function valuesOf({ features, dimension }: PairFeatures, weight: Float32Array): Float32Array {
  return Float32Array.from({ length: features.length / dimension }, (_, row) => {
    let sum = 0;
    for (let at = 0; at < dimension; at++) sum += features[row * dimension + at]! * weight[at]!;
    return sum;
  });
}
