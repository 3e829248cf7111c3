/** Optimizers: how a step moves the parameters, as plain operators over whole vectors. */
import {
  add,
  div,
  matmul,
  minimum,
  mul,
  reduceL2,
  reduceSum,
  reshape,
  sqrt,
  sub,
  transpose,
} from "./ops/mod.ts";
import type { Matrices } from "./packing.ts";
import type { Value } from "./value.ts";

/**
 * An update rule. Whatever depends on the step's number is computed on the host in double
 * precision and fed as a few scalars, so nothing about the step is left to the device.
 */
export interface Optimizer {
  /** Its name, kept with a saved state. */
  readonly name: string;
  /** Names of the vectors that it keeps beside the parameters; they start at zero. */
  readonly slots: readonly string[];
  /** How many scalars a step is fed. */
  readonly scalars: number;
  /** The scalars of a step; steps count from 1. */
  feed(step: number, learningRate: number): readonly number[];
  /** Scalars with which a step of gradient zero changes nothing. */
  readonly idle: readonly number[];
  /** The update. */
  update(step: UpdateStep): { readonly parameter: Value; readonly slots: readonly Value[] };
}

/** What an update is made of. All vectors are of rank 1. */
export interface UpdateStep {
  /** The parameters. */
  readonly parameter: Value;
  /** The loss's gradient for them, clipped where that was asked for. */
  readonly gradient: Value;
  /** The kept vectors in the order of {@linkcode Optimizer.slots}. */
  readonly slots: readonly Value[];
  /** The fed scalars, each of shape `[1]`. */
  readonly scalars: readonly Value[];
  /** Which elements decay: all, none, or a vector of ones and zeros. */
  readonly decay: boolean | Value;
  /** What the vector is made of, where its parameters are matrices to be orthogonalised. */
  readonly matrices?: Matrices | undefined;
}

/** Settings of {@linkcode adamW}. */
export interface AdamWOptions {
  /** Decay of the running means of gradient and squared gradient; 0.9 and 0.999 by default. */
  betas?: readonly [number, number];
  /** Added to the root of the squared gradient; 1e-8 by default. */
  epsilon?: number;
  /** Decoupled weight decay, times the learning rate; 0.01 by default. */
  weightDecay?: number;
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), the same steps as
 * PyTorch's AdamW.
 *
 * It keeps `m / (1 - beta1)` and `v / (1 - beta2)`: their updates are an operator shorter, and the
 * factors go into the fed scalars together with the bias corrections.
 */
export function adamW(options: AdamWOptions = {}): Optimizer {
  const { betas: [beta1, beta2] = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01 } = options;
  return {
    name: "adamW",
    slots: ["gradient", "squared"],
    scalars: 5,
    idle: [1, 1, 0, 1, 0],
    feed(step, learningRate) {
      const corrected1 = (1 - beta1) / (1 - beta1 ** step);
      const corrected2 = Math.sqrt((1 - beta2) / (1 - beta2 ** step));
      const rate = learningRate * corrected1 / corrected2;
      return [beta1, beta2, rate, epsilon / corrected2, learningRate * weightDecay];
    },
    update({ parameter, gradient, slots: [first, second], scalars, decay }) {
      const [beta1, beta2, rate, epsilon, shrink] = scalars as [Value, Value, Value, Value, Value];
      const mean = add(mul(first!, beta1), gradient);
      const squared = add(mul(second!, beta2), mul(gradient, gradient));
      const move = div(mul(mean, rate), add(sqrt(squared), epsilon));
      const kept = weightDecay ? decayed(parameter, shrink, decay) : parameter;
      return { parameter: sub(kept, move), slots: [mean, squared] };
    },
  };
}

/** Settings of {@linkcode muon}. */
export interface MuonOptions {
  /** Part of the last move that is kept; 0.95 by default. */
  momentum?: number;
  /** Decoupled weight decay, times the learning rate; 0 by default. */
  weightDecay?: number;
  /** AdamW's step size for all other parameters, in learning rates of the matrices; 0.2 by default. */
  otherRate?: number;
}

/** Coefficients of the quintic iteration: few steps bring singular values near 1, none to it. */
const QUINTIC = [3.4445, -4.775, 2.0315] as const;

/**
 * Muon (Jordan et al. 2024): the matrices that `orthogonal` marks move along their momentum with all
 * singular values brought near 1 by five Newton-Schulz iterations, times sqrt(max(1, rows / columns)).
 * Embeddings, heads, norms and biases, which are not marked, move by AdamW without decay.
 */
export function muon(options: MuonOptions = {}): Optimizer {
  const { momentum = 0.95, weightDecay = 0, otherRate = 0.2 } = options;
  const other = adamW({ weightDecay: 0 });
  return {
    name: "muon",
    slots: other.slots,
    scalars: other.scalars + 3,
    idle: [...other.idle, 1, 0, 0],
    feed: (step, learningRate) => [
      ...other.feed(step, learningRate * otherRate),
      ...[momentum, learningRate, learningRate * weightDecay],
    ],
    update(step) {
      const { parameter, gradient, slots: [last, unused], decay, matrices } = step;
      const [keep, rate, shrink] = step.scalars.slice(-3) as [Value, Value, Value];
      if (!matrices) return other.update({ ...step, scalars: step.scalars.slice(0, -3) });
      const velocity = add(mul(last!, keep), gradient);
      const { count, rows, columns } = matrices;
      const ahead = reshape(add(gradient, mul(velocity, keep)), [count, rows, columns]);
      const move = reshape(orthogonalised(ahead), [count * rows * columns]);
      const scale = Math.sqrt(Math.max(1, rows / columns));
      const kept = weightDecay ? decayed(parameter, shrink, decay) : parameter;
      return { parameter: sub(kept, mul(move, mul(rate, scale))), slots: [velocity, unused!] };
    },
  };
}

/** Matrices `[count, rows, columns]` with their singular vectors and singular values near 1. */
function orthogonalised(matrices: Value): Value {
  const [, rows, columns] = matrices.dims as [number, number, number];
  const turned = rows > columns ? transpose(matrices, [0, 2, 1]) : matrices;
  const squares = reduceSum(mul(turned, turned), { axes: [1, 2], keepDims: true });
  let x = div(turned, add(sqrt(squares), 1e-7));
  const [a, b, c] = QUINTIC;
  for (let step = 0; step < 5; step++) {
    const gram = matmul(x, transpose(x, [0, 2, 1]));
    const polynomial = add(mul(gram, b), mul(matmul(gram, gram), c));
    x = add(mul(x, a), matmul(polynomial, x));
  }
  return rows > columns ? transpose(x, [0, 2, 1]) : x;
}

/** Settings of {@linkcode sgd}. */
export interface SgdOptions {
  /** Part of the last move that is kept; 0 by default. */
  momentum?: number;
  /** Looks ahead along the momentum (Nesterov 1983, as Sutskever et al. 2013 write it). */
  nesterov?: boolean;
  /** Decay that is added to the gradient; 0 by default. */
  weightDecay?: number;
}

/** Stochastic gradient descent with momentum, the same steps as PyTorch's SGD. */
export function sgd(options: SgdOptions = {}): Optimizer {
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
  return {
    name: "sgd",
    slots: momentum ? ["velocity"] : [],
    scalars: 3,
    idle: [1, 0, 0],
    feed: (_step, learningRate) => [momentum, learningRate, weightDecay],
    update({ parameter, gradient, slots: [last], scalars, decay }) {
      const [keep, rate, shrink] = scalars as [Value, Value, Value];
      const pull = weightDecay ? masked(shrink, decay) : undefined;
      const slope = pull ? add(gradient, mul(parameter, pull)) : gradient;
      if (!last) return { parameter: sub(parameter, mul(slope, rate)), slots: [] };
      const velocity = add(mul(last, keep), slope);
      const move = nesterov ? add(slope, mul(velocity, keep)) : velocity;
      return { parameter: sub(parameter, mul(move, rate)), slots: [velocity] };
    },
  };
}

/** The decay's factor where it holds for all, a vector of it where some are left out. */
function masked(shrink: Value, decay: boolean | Value): Value | undefined {
  if (decay === false) return undefined;
  return decay === true ? shrink : mul(decay, shrink);
}

function decayed(parameter: Value, shrink: Value, decay: boolean | Value): Value {
  const part = masked(shrink, decay);
  return part ? mul(parameter, sub(1, part)) : parameter;
}

/**
 * The factor that brings gradients to a global norm of at most `limit` (Pascanu et al. 2013), as
 * PyTorch's clip_grad_norm_ has it.
 */
export function clipFactor(gradients: readonly Value[], limit: number): Value {
  const norms = gradients.map((gradient) => reduceL2(gradient, { keepDims: true }));
  const norm = norms.length === 1 ? norms[0]! : sqrt(norms.map((one) => mul(one, one)).reduce(add));
  return minimum(div(limit, add(norm, 1e-6)), 1);
}
