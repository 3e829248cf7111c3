/** One trainable path of a reward, linear or MLP: its step on the device, and its values. */
import { FairlError, Random } from "../base/mod.ts";
import {
  adamW,
  add,
  concat,
  gather,
  matmul,
  mul,
  Program,
  reduceMean,
  reduceSum,
  slice,
  squeeze,
  sub,
  tanh,
  Trainer,
  type TrainerState,
  type Value,
} from "../graph/mod.ts";
import { type HostTensor, type Runtime, scalar, tensor } from "../runtime/mod.ts";
import type { PairFeatures } from "./data.ts";
import { type Objective, pairLoss } from "./objectives.ts";

/** The form of a path. */
export type PathShape = { readonly kind: "linear" } | {
  readonly kind: "mlp";
  /** Units of the hidden layer. */
  readonly hidden: number;
};

/** A path's weights by name: `weight`, or `hidden`, `bias` and `output`. */
export type PathWeights = Record<string, HostTensor<"float32">>;

/** What one pair contributes to the loss of a pass over the data; one number for each pair. */
export interface PairTerms {
  /** Added to the path's own gap: the gap under the frozen paths. */
  readonly offset: Float32Array<ArrayBuffer>;
  /** Factor of the pair's loss. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** Margin or temperature, by objective. */
  readonly sharpness: Float32Array<ArrayBuffer>;
  /** Half of it times the squared norm of the weights that read features is added to the loss. */
  readonly ridge: number;
  /** The same for the weights that read hidden units. */
  readonly outputRidge: number;
}

/** Settings that a session is compiled for. */
export interface PathOptions {
  /** Form of the path. */
  readonly shape: PathShape;
  /** Loss of a pair. */
  readonly objective: Objective;
  /** Pairs in a step. */
  readonly batch: number;
  /** AdamW's decoupled weight decay. */
  readonly weightDecay: number;
}

/** Steps inside one run of the session: enough that the cost of a run no longer shows. */
const STEPS_PER_RUN = 16;

/** Sizes that an MLP path starts with. */
export interface PathStart {
  /** Hidden weights, as a share of the usual 1 / sqrt(dimension). */
  readonly hidden: number;
  /** Output weights: half of the units have it, their twins its negative. */
  readonly output: number;
}

/** The usual start: random hidden units that are not listened to yet. */
const USUAL: PathStart = { hidden: 1, output: 0 };

/**
 * Fresh weights of a path, whose reward is zero until it has learned something: a base path starts
 * from no preference, a correction from no change. Either the output weights are zero, or units come
 * in twins with the same hidden weights and opposite outputs (C; K: the start without bias of Chizat
 * et al., arXiv 1812.07956).
 *
 * @throws FairlError `irl.odd-units` when an odd number of units should come in twins
 */
export function freshWeights(
  shape: PathShape,
  dimension: number,
  random: Random,
  start: PathStart = USUAL,
): PathWeights {
  if (shape.kind === "linear") {
    return { weight: tensor("float32", [dimension, 1], new Float32Array(dimension)) };
  }
  const { hidden } = shape;
  const twins = start.output !== 0;
  if (twins && hidden % 2 === 1) {
    throw new FairlError("irl.odd-units", `${hidden} hidden units cannot come in twins`);
  }
  const units = twins ? hidden / 2 : hidden;
  const bound = start.hidden / Math.sqrt(dimension);
  const draw = (rows: number) => {
    const drawn = Float32Array.from(
      { length: rows * units },
      () => bound * (2 * random.uniform() - 1),
    );
    return Float32Array.from(
      { length: rows * hidden },
      (_, at) => drawn[Math.floor(at / hidden) * units + at % hidden % units]!,
    );
  };
  return {
    hidden: tensor("float32", [dimension, hidden], draw(dimension)),
    bias: tensor("float32", [hidden], draw(1)),
    output: tensor(
      "float32",
      [hidden, 1],
      Float32Array.from({ length: hidden }, (_, at) => at < units ? start.output : -start.output),
    ),
  };
}

/** The path's reward of features `[n, dimension]`, as `[n]`. */
function pathValues(shape: PathShape, weights: Record<string, Value>, features: Value): Value {
  if (shape.kind === "linear") return squeeze(matmul(features, weights["weight"]!), [1]);
  const hidden = tanh(add(matmul(features, weights["hidden"]!), weights["bias"]!));
  return squeeze(matmul(hidden, weights["output"]!), [1]);
}

/** Trains one path on pairs whose features stay inside the session. */
export class PathTrainer implements AsyncDisposable {
  private constructor(
    readonly pairs: PairFeatures,
    readonly options: PathOptions,
    readonly batch: number,
    private readonly trainer: Trainer,
  ) {}

  /**
   * Compiles the path's step for a set of pairs.
   *
   * @param pairs Standardised training pairs
   */
  static async open(
    runtime: Runtime,
    pairs: PairFeatures,
    options: PathOptions,
  ): Promise<PathTrainer> {
    const { shape, objective } = options;
    const { dimension } = pairs;
    const count = pairs.chosen.length;
    const batch = Math.min(options.batch, count);
    const perPair = { type: "float32", dims: [count] } as const;
    const trainer = await Trainer.open(runtime, {
      parameters: Object.fromEntries(
        Object.entries(freshWeights(shape, dimension, new Random(0)))
          .map(([name, value]) => [name, { value, decay: name !== "bias" }]),
      ),
      constants: shape.kind === "linear" ? { differences: differencesOf(pairs) } : {
        features: tensor("float32", [pairs.features.length / dimension, dimension], pairs.features),
        chosen: tensor("int32", [count], Int32Array.from(pairs.chosen)),
        rejected: tensor("int32", [count], Int32Array.from(pairs.rejected)),
      },
      inputs: {
        offset: perPair,
        weight: perPair,
        sharpness: perPair,
        ridge: { type: "float32", dims: [] },
        ...(shape.kind === "mlp" ? { outputRidge: { type: "float32", dims: [] } } : {}),
      },
      batch: { index: { type: "int32", dims: [batch] } },
      loss({ parameters, constants, inputs, batch: { index } }) {
        const of = (name: string) => gather(inputs[name]!, index!);
        const own = shape.kind === "linear"
          ? pathValues(shape, parameters, gather(constants["differences"]!, index!))
          : mlpGap(shape, parameters, constants, index!);
        const losses = pairLoss(objective, add(own, of("offset")), of("sharpness"));
        const penalties = Object.entries(parameters).filter(([name]) => name !== "bias")
          .map(([name, weights]) =>
            mul(
              reduceSum(mul(weights, weights)),
              mul(inputs[name === "output" ? "outputRidge" : "ridge"]!, 0.5),
            )
          );
        return [reduceMean(mul(losses, of("weight"))), ...penalties].reduce(add);
      },
      optimizer: adamW({ weightDecay: options.weightDecay }),
      stepsPerRun: STEPS_PER_RUN,
    });
    return new PathTrainer(pairs, options, batch, trainer);
  }

  /** Starts again from some weights, with a fresh optimizer. */
  async reset(weights: PathWeights): Promise<void> {
    await this.trainer.reset(weights);
  }

  /**
   * One pass over some of the pairs in the order given. What does not fill a last batch waits for
   * another epoch's order.
   *
   * @returns the mean loss of its steps
   */
  async epoch(
    order: Int32Array,
    terms: PairTerms,
    learningRate: number,
    signal?: AbortSignal,
  ): Promise<number> {
    const { batch } = this;
    if (order.length < batch) order = repeatTo(order, batch);
    const steps = Math.floor(order.length / batch);
    const count = this.pairs.chosen.length;
    const vector = (data: Float32Array<ArrayBuffer>) => tensor("float32", [count], data);
    const inputs = {
      offset: vector(terms.offset),
      weight: vector(terms.weight),
      sharpness: vector(terms.sharpness),
      ridge: scalar(terms.ridge),
      ...(this.options.shape.kind === "mlp" ? { outputRidge: scalar(terms.outputRidge) } : {}),
    };
    let sum = 0;
    for (let done = 0; done < steps; done += STEPS_PER_RUN) {
      signal?.throwIfAborted();
      const now = Math.min(STEPS_PER_RUN, steps - done);
      const index = new Int32Array(STEPS_PER_RUN * batch);
      index.set(order.subarray(done * batch, (done + now) * batch));
      const { loss } = await this.trainer.run({
        inputs,
        batch: { index: tensor("int32", [STEPS_PER_RUN, batch], index) },
        learningRate,
        steps: now,
      });
      for (let step = 0; step < now; step++) sum += loss[step]!;
    }
    return sum / steps;
  }

  /** The weights as they are now. */
  async weights(): Promise<PathWeights> {
    return await this.trainer.parameters();
  }

  /** Everything that the next epoch depends on. */
  async state(): Promise<TrainerState> {
    return await this.trainer.state();
  }

  /** Goes on from a state. */
  async load(state: TrainerState): Promise<void> {
    await this.trainer.load(state);
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.trainer.dispose();
  }
}

/** Gap of each pair of a batch: the texts of both sides go through the layers in one product. */
function mlpGap(
  shape: PathShape,
  parameters: Record<string, Value>,
  constants: Record<string, Value>,
  index: Value,
): Value {
  const batch = index.dims[0]!;
  const rows = concat([gather(constants["chosen"]!, index), gather(constants["rejected"]!, index)]);
  const values = pathValues(shape, parameters, gather(constants["features"]!, rows));
  return sub(slice(values, [0], [batch]), slice(values, [batch], [2 * batch]));
}

/** `[pairs, dimension]`: features of the chosen text less those of the rejected one. */
export function differencesOf(pairs: PairFeatures): HostTensor<"float32"> {
  const { features, dimension, chosen, rejected } = pairs;
  const data = new Float32Array(chosen.length * dimension);
  for (let pair = 0; pair < chosen.length; pair++) {
    const better = chosen[pair]! * dimension;
    const worse = rejected[pair]! * dimension;
    for (let at = 0; at < dimension; at++) {
      data[pair * dimension + at] = features[better + at]! - features[worse + at]!;
    }
  }
  return tensor("float32", [chosen.length, dimension], data);
}

/** A small set of pairs, gone round as often as fills a batch. */
function repeatTo(order: Int32Array, length: number): Int32Array {
  if (order.length === 0) throw new FairlError("irl.empty", "There is no pair to train on");
  return Int32Array.from({ length }, (_, at) => order[at % order.length]!);
}

/** Gives a path's reward of fixed texts for any weights. */
export class PathValues implements AsyncDisposable {
  private constructor(private readonly program: Program) {}

  /**
   * Compiles the path for some texts, which stay inside the session.
   *
   * @param pairs Standardised pairs; their texts are the ones valued
   */
  static async open(
    runtime: Runtime,
    pairs: PairFeatures,
    shape: PathShape,
  ): Promise<PathValues> {
    const { features, dimension } = pairs;
    const weights = freshWeights(shape, dimension, new Random(0));
    const program = await Program.open(runtime, {
      constants: {
        features: tensor("float32", [features.length / dimension, dimension], features),
      },
      inputs: Object.fromEntries(
        Object.entries(weights).map(([name, { type, dims }]) => [name, { type, dims: [...dims] }]),
      ),
      outputs: ({ constants, inputs }) => ({
        reward: pathValues(shape, inputs, constants["features"]!),
      }),
    });
    return new PathValues(program);
  }

  /** The path's reward of each text. */
  async of(weights: PathWeights): Promise<Float32Array> {
    const { reward } = await this.program.run(weights);
    return reward!.data as Float32Array;
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.dispose();
  }
}
