/** The objectives of standard IRL: what one pair costs, given its gap. */
import { abs, add, div, mul, neg, relu, softplus, sub, type Value } from "../graph/mod.ts";

/** The objectives, by the names that the command line takes. */
export const OBJECTIVES = ["max-margin", "max-entropy", "asymmetric", "confidence"] as const;
/** One of {@linkcode OBJECTIVES}. */
export type Objective = typeof OBJECTIVES[number];

/** Slope of the confidence margin in |gap| (K: the authors' code). */
const CONFIDENCE = 0.5;

/**
 * The loss of each pair of a batch (METHOD.md, "Standard IRL"; K).
 *
 * | objective | loss of gap g at sharpness s | s is |
 * |---|---|---|
 * | max-margin | max(0, s - g) | the margin m |
 * | confidence | max(0, s + c\|g\| - g) | the margin m |
 * | asymmetric | -g if g > 0, else -2 g; unbounded, so it needs the early stop | not used |
 * | max-entropy | softplus(-g / s): Bradley and Terry | the temperature T |
 *
 * @param objective Which of the four
 * @param gap `[batch]`, R(chosen) - R(rejected)
 * @param sharpness `[batch]`, margin or temperature of each pair
 * @returns `[batch]`
 */
export function pairLoss(objective: Objective, gap: Value, sharpness: Value): Value {
  switch (objective) {
    case "max-margin":
      return relu(sub(sharpness, gap));
    case "confidence":
      return relu(sub(add(sharpness, mul(abs(gap), CONFIDENCE)), gap));
    case "asymmetric":
      return sub(relu(neg(gap)), gap);
    case "max-entropy":
      return softplus(neg(div(gap, sharpness)));
  }
}
