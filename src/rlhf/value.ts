/** PPO's value head: the reward still to come, read off the reference's states. */

/** What a {@linkcode ValueHead} goes on from. */
export interface ValueState {
  /** Sum of outer products of states, `[width + 1, width + 1]`; the last feature is 1. */
  readonly moments: Float64Array<ArrayBuffer>;
  /** Sum of states times returns, `[width + 1]`. */
  readonly returns: Float64Array<ArrayBuffer>;
}

/** How much older epochs count: a step of the policy makes them a little wrong. */
const MEMORY = 0.8;
/** Ridge penalty for each row seen. */
const RIDGE = 1e-2;

/**
 * V(text so far) as a linear function of the frozen reference's last state, fitted in closed form to
 * the returns of the last epochs (C). The trunk of TRL's head is the policy itself; a frozen one
 * leaves the policy's step as it is, and the fit needs no learning rate.
 */
export class ValueHead {
  readonly #width: number;
  #moments: Float64Array<ArrayBuffer>;
  #returns: Float64Array<ArrayBuffer>;
  #weight: Float64Array;

  /** A head that says 0. */
  constructor(width: number) {
    this.#width = width + 1;
    this.#moments = new Float64Array(this.#width ** 2);
    this.#returns = new Float64Array(this.#width);
    this.#weight = new Float64Array(this.#width);
  }

  /** The value of a state. */
  at(states: Float32Array, row: number): number {
    const width = this.#width - 1;
    let sum = this.#weight[width]!;
    for (let at = 0; at < width; at++) sum += this.#weight[at]! * states[row * width + at]!;
    return sum;
  }

  /**
   * Learns what came after states.
   *
   * @param rows Which rows of `states` hold one
   * @param returns What came after each of these
   */
  learn(states: Float32Array, rows: readonly number[], returns: ArrayLike<number>): void {
    const size = this.#width;
    for (let at = 0; at < this.#moments.length; at++) this.#moments[at]! *= MEMORY;
    for (let at = 0; at < size; at++) this.#returns[at]! *= MEMORY;
    const x = new Float64Array(size).fill(1);
    rows.forEach((row, index) => {
      x.set(states.subarray(row * (size - 1), (row + 1) * (size - 1)));
      for (let i = 0; i < size; i++) {
        const own = x[i]!;
        this.#returns[i]! += own * returns[index]!;
        // The lower half: the matrix is symmetric.
        for (let j = 0; j <= i; j++) this.#moments[i * size + j]! += own * x[j]!;
      }
    });
    this.#solve();
  }

  /** What the next epoch depends on. */
  state(): ValueState {
    return { moments: this.#moments.slice(), returns: this.#returns.slice() };
  }

  /** Goes on from a state. */
  load({ moments, returns }: ValueState): void {
    this.#moments = moments.slice();
    this.#returns = returns.slice();
    this.#solve();
  }

  /** Ridge regression by the Cholesky factor. */
  #solve(): void {
    const size = this.#width;
    const penalty = RIDGE * this.#moments[size * size - 1]! + 1e-9;
    const factor = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = this.#moments[i * size + j]! + (i === j ? penalty : 0);
        for (let k = 0; k < j; k++) sum -= factor[i * size + k]! * factor[j * size + k]!;
        factor[i * size + j] = i === j ? Math.sqrt(sum) : sum / factor[j * size + j]!;
      }
    }
    const weight = Float64Array.from(this.#returns);
    for (let i = 0; i < size; i++) {
      for (let k = 0; k < i; k++) weight[i]! -= factor[i * size + k]! * weight[k]!;
      weight[i]! /= factor[i * size + i]!;
    }
    for (let i = size - 1; i >= 0; i--) {
      for (let k = i + 1; k < size; k++) weight[i]! -= factor[k * size + i]! * weight[k]!;
      weight[i]! /= factor[i * size + i]!;
    }
    this.#weight = weight;
  }
}

/**
 * Generalised advantage estimation (Schulman et al. 2016, equation 16) with gamma = 1.
 *
 * @param rewards Of each token of one text
 * @param values Of the states before them
 * @returns advantages, and with the values added the returns that a value head learns
 */
export function generalisedAdvantages(
  rewards: readonly number[],
  values: readonly number[],
  lambda: number,
): { advantages: number[]; returns: number[] } {
  const advantages = new Array<number>(rewards.length);
  let next = 0;
  for (let at = rewards.length - 1; at >= 0; at--) {
    const error = rewards[at]! + (values[at + 1] ?? 0) - values[at]!;
    advantages[at] = next = error + lambda * next;
  }
  return { advantages, returns: advantages.map((advantage, at) => advantage + values[at]!) };
}
