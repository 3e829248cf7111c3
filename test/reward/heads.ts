/** Heads of random weights, their features, and their rewards by the plain formula. */
import { Random } from "../../src/base/mod.ts";
import type { RewardHead } from "../../src/reward/mod.ts";

/** A head with a linear path and a correction of `units` tanh units, on rows of `dimension`. */
export function randomHead(seed: number, dimension: number, units: number): RewardHead {
  const random = new Random(seed, "head");
  return {
    dimension,
    mean: random.normals(dimension, 0.3),
    scale: 1.7,
    paths: [
      { kind: "linear", coefficient: 0.8, weight: random.normals(dimension, 0.4) },
      {
        kind: "mlp",
        coefficient: 0.35,
        hidden: random.normals(dimension * units, 0.3),
        bias: random.normals(units, 0.2),
        output: random.normals(units, 0.5),
      },
    ],
    unit: 2.5,
    offset: -0.4,
  };
}

/** R(f) = sum over paths of coefficient * path((f - mean) * scale) / unit - offset, in float64. */
export function rewardsOf(head: RewardHead, features: Float32Array): number[] {
  const { dimension, mean, scale, paths, unit, offset } = head;
  return Array.from({ length: features.length / dimension }, (_, row) => {
    const x = Array.from(mean, (m, at) => (features[row * dimension + at]! - m) * scale);
    const sum = paths.reduce((total, path) => {
      if (path.kind === "linear") {
        return total + path.coefficient * dot(x, path.weight);
      }
      const hidden = Array.from(path.bias, (bias, unit) =>
        Math.tanh(
          bias +
            x.reduce(
              (sum, value, at) => sum + value * path.hidden[at * path.bias.length + unit]!,
              0,
            ),
        ));
      return total + path.coefficient * dot(hidden, path.output);
    }, 0);
    return sum / unit - offset;
  });
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, at) => sum + value * b[at]!, 0);
}
