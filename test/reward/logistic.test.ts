/** The full-batch logistic fit: it ends where the gradient does, and there again. */
import { assert, assertEquals } from "@std/assert";
import { Random } from "../../src/base/mod.ts";
import { fitLogistic } from "../../src/reward/mod.ts";
import { Runtime } from "../../src/runtime/mod.ts";

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/** Noisy labels of a known plane. */
function world(seed: number, rows: number, dimension: number) {
  const random = new Random(seed, "logistic");
  const features = random.normals(rows * dimension);
  const truth = random.normals(dimension, 2);
  const labels = Array.from({ length: rows }, (_, row) => {
    const z = truth.reduce((sum, w, i) => sum + w * features[row * dimension + i]!, 0.7);
    return random.uniform() < sigmoid(z) ? 1 : 0;
  });
  return { features, labels };
}

/** Gradient of the penalised mean loss, the intercept last and free of the penalty. */
function slope(
  features: Float32Array,
  labels: readonly number[],
  l2: number,
  weights: readonly number[],
): number[] {
  const dimension = weights.length - 1;
  const result = weights.map((w, i) => i < dimension ? l2 * w : 0);
  labels.forEach((label, row) => {
    const x = [...features.subarray(row * dimension, (row + 1) * dimension), 1];
    const error = sigmoid(x.reduce((sum, value, i) => sum + value * weights[i]!, 0)) - label;
    x.forEach((value, i) => result[i]! += error * value / labels.length);
  });
  return result;
}

Deno.test("the fit is where the gradient of the penalised loss is zero", async () => {
  await using runtime = await Runtime.open("wasm");
  for (const l2 of [1e-3, 1e-1]) {
    const { features, labels } = world(1, 400, 6);
    const { weight, bias } = await fitLogistic(runtime, features, labels, l2);
    const left = slope(features, labels, l2, [...weight, bias]);
    // The loss is convex, so nothing else has a gradient like that.
    assert(Math.hypot(...left) < 1e-4, `a gradient of ${Math.hypot(...left)} is left`);
    assert(Math.hypot(...slope(features, labels, l2, Array(7).fill(0))) > 0.1);
  }
});

Deno.test("the same data give the same bytes", async () => {
  await using runtime = await Runtime.open("wasm");
  const { features, labels } = world(2, 200, 5);
  const once = await fitLogistic(runtime, features, labels, 1e-2);
  assertEquals(await fitLogistic(runtime, features, labels, 1e-2), once);
});

Deno.test("a plane that parts the labels without error still has a finite fit", async () => {
  await using runtime = await Runtime.open("wasm");
  const features = Float32Array.of(-2, -1, 1, 2);
  const { weight, bias } = await fitLogistic(runtime, features, [0, 0, 1, 1], 1e-2);
  const left = slope(features, [0, 0, 1, 1], 1e-2, [...weight, bias]);
  assert(Math.hypot(...left) < 1e-4);
  assert(weight[0]! > 1 && Number.isFinite(weight[0]!) && Math.abs(bias) < 1e-3);
});
