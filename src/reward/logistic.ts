/** L2-regularised logistic regression on features: convex, full-batch, the same each time. */
import {
  add,
  gradient,
  matmul,
  mul,
  neg,
  Program,
  reduceMean,
  reduceSum,
  softplus,
  squeeze,
} from "../graph/mod.ts";
import { type Runtime, tensor } from "../runtime/mod.ts";

/** logit(f) = f . weight + bias */
export interface LogisticModel {
  /** `[dimension]` */
  readonly weight: Float32Array<ArrayBuffer>;
  /** The intercept, which is not regularised. */
  readonly bias: number;
}

/**
 * Fits by L-BFGS; loss and gradient come from one graph in which the features stay.
 *
 * @param features `[n, dimension]`, row-major
 * @param labels 1 or 0 for each row
 * @param l2 Weight of |w|^2 / 2 beside the mean loss; above 0, so that there is one minimum
 *
 * @example The boundary lies between the two classes
 * ```ts
 * import { assert } from "@std/assert";
 * import { Runtime } from "../runtime/mod.ts";
 * import { fitLogistic } from "./logistic.ts";
 * await using runtime = await Runtime.open("wasm");
 * const { weight, bias } = await fitLogistic(runtime, Float32Array.of(1, 2, 4, 5), [0, 0, 1, 1], 0.01);
 * const boundary = -bias / weight[0]!;
 * assert(Math.abs(boundary - 3) < 0.01);
 * ```
 */
export async function fitLogistic(
  runtime: Runtime,
  features: Float32Array<ArrayBuffer>,
  labels: ArrayLike<number>,
  l2: number,
): Promise<LogisticModel> {
  const rows = labels.length;
  const dimension = features.length / rows;
  const signs = Float32Array.from(labels, (label) => label === 1 ? 1 : -1);
  const program = await Program.open(runtime, {
    constants: {
      features: tensor("float32", [rows, dimension], features),
      signs: tensor("float32", [rows], signs),
    },
    inputs: {
      weight: { type: "float32", dims: [dimension, 1] },
      bias: { type: "float32", dims: [1] },
    },
    outputs({ constants, inputs: { weight, bias } }) {
      const logits = add(squeeze(matmul(constants["features"]!, weight!), [1]), bias!);
      const fit = reduceMean(softplus(neg(mul(logits, constants["signs"]!))));
      const loss = add(fit, mul(reduceSum(mul(weight!, weight!)), l2 / 2));
      const [byWeight, byBias] = gradient(loss, [weight!, bias!]);
      return { loss, byWeight: byWeight!, byBias: byBias! };
    },
  });
  try {
    const solution = await minimise(new Float64Array(dimension + 1), async (at) => {
      const point = Float32Array.from(at);
      const { loss, byWeight, byBias } = await program.run({
        weight: tensor("float32", [dimension, 1], point.slice(0, dimension)),
        bias: tensor("float32", [1], point.slice(dimension)),
      });
      const slope = new Float64Array(dimension + 1);
      slope.set(byWeight!.data as Float32Array);
      slope.set(byBias!.data as Float32Array, dimension);
      return { value: (loss!.data as Float32Array)[0]!, slope };
    });
    return {
      weight: Float32Array.from(solution.subarray(0, dimension)),
      bias: solution[dimension]!,
    };
  } finally {
    await program.dispose();
  }
}

/** Steps that the curvature is remembered from. */
const MEMORY = 10;
/** Steps at most; a regularised logistic loss in float32 has settled long before. */
const STEPS = 200;

type Evaluated = { readonly value: number; readonly slope: Float64Array };

/** L-BFGS with a backtracking line search (Nocedal and Wright, algorithms 7.4 and 3.1). */
async function minimise(
  start: Float64Array<ArrayBuffer>,
  evaluate: (at: Float64Array) => Promise<Evaluated>,
): Promise<Float64Array> {
  let at = start;
  let here = await evaluate(at);
  const history: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let step = 0; step < STEPS; step++) {
    const size = Math.sqrt(dot(here.slope, here.slope));
    if (size < 1e-5) break;
    const direction = twoLoops(here.slope, history);
    const decline = dot(here.slope, direction);
    let length = history.length === 0 ? 1 / size : 1;
    let next = at;
    let there = here;
    for (let halvings = 0; halvings < 20; halvings++, length /= 2) {
      next = at.map((x, i) => x + length * direction[i]!);
      there = await evaluate(next);
      if (there.value <= here.value + 1e-4 * length * decline) break;
    }
    // Float32 has nothing more to give.
    if (!(there.value < here.value)) break;
    const s = next.map((x, i) => x - at[i]!);
    const y = there.slope.map((x, i) => x - here.slope[i]!);
    const curvature = dot(s, y);
    if (curvature > 0) {
      history.push({ s, y, rho: 1 / curvature });
      if (history.length > MEMORY) history.shift();
    }
    [at, here] = [next, there];
  }
  return at;
}

function twoLoops(
  slope: Float64Array,
  history: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
  const q = slope.map((x) => -x);
  const factors: number[] = [];
  for (const { s, y, rho } of history.toReversed()) {
    const factor = rho * dot(s, q);
    factors.push(factor);
    q.forEach((_, i) => q[i]! -= factor * y[i]!);
  }
  const last = history.at(-1);
  if (last) {
    const scale = 1 / (last.rho * dot(last.y, last.y));
    q.forEach((_, i) => q[i]! *= scale);
  }
  for (const { s, y, rho } of history) {
    const change = factors.pop()! - rho * dot(y, q);
    q.forEach((_, i) => q[i]! += change * s[i]!);
  }
  return q;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
