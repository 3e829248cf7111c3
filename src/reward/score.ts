/** Scoring texts with an artefact: reward, calibrated probability, quantile. */
import { FairlError } from "../base/mod.ts";
import { type EncodeOptions, type Encoder, openEncoder } from "../encode/mod.ts";
import { probabilities, quantileOf } from "../metrics/mod.ts";
import { type DeviceRequest, Runtime, type Session, tensor } from "../runtime/mod.ts";
import { loadArtefact } from "./artefact.ts";
import { type Card, GIVEN_FEATURES } from "./card.ts";

/** Scores of texts, one entry for each. */
export interface Scores {
  /** The reward: 0 is the text threshold, 1 a deviation of the training gaps. */
  readonly reward: Float32Array<ArrayBuffer>;
  /** P(not toxic | reward), after Platt scaling on validation texts. */
  readonly probability: Float64Array<ArrayBuffer>;
  /** Share of the training texts with a lower reward. */
  readonly quantile: Float64Array<ArrayBuffer>;
}

/** Where a reward runs. */
export interface RewardOptions {
  /** The device, `auto` by default. */
  device?: DeviceRequest;
  /** The folder of the feature cache. Nothing is kept without one. */
  cache?: string;
}

/**
 * An artefact that is ready to score texts.
 *
 * @example The probability that a text is not toxic
 * ```ts ignore
 * import { TextReward } from "./score.ts";
 * await using reward = await TextReward.open("artefact");
 * const { probability } = await reward.score(["have a nice day"]);
 * ```
 */
export class TextReward implements AsyncDisposable {
  readonly #open: AsyncDisposableStack;
  readonly #encoder: Encoder;
  readonly #runtime: Runtime;
  readonly #session: Session;

  private constructor(
    /** What the artefact says of itself. */
    readonly card: Card,
    encoder: Encoder,
    runtime: Runtime,
    session: Session,
    open: AsyncDisposableStack,
  ) {
    this.#encoder = encoder;
    this.#runtime = runtime;
    this.#session = session;
    this.#open = open;
  }

  /**
   * Opens an artefact with the encoder it was trained on.
   *
   * @throws FairlError as {@linkcode loadArtefact} and {@linkcode openEncoder} do
   * @throws FairlError `reward.encoder` when the encoder is not the one it was trained on, or when
   * it was trained on features instead of texts
   */
  static async open(folder: string, options: RewardOptions = {}): Promise<TextReward> {
    const { card, model } = await loadArtefact(folder);
    const { name, id } = card.encoder;
    if (name === GIVEN_FEATURES) {
      throw new FairlError(
        "reward.encoder",
        `${folder} was trained on given features, not on texts: run reward.onnx on features`,
      );
    }
    await using opened = new AsyncDisposableStack();
    const encoder = opened.use(await openEncoder(name, options));
    if (encoder.id !== id) {
      throw new FairlError(
        "reward.encoder",
        `${folder} was trained on ${id}, and here ${name} is ${encoder.id}`,
      );
    }
    const runtime = opened.use(await Runtime.open(options.device));
    const session = await runtime.session(model);
    return new TextReward(card, encoder, runtime, session, opened.move());
  }

  /**
   * Scores texts, in their order.
   *
   * @throws the signal's reason when it is aborted
   */
  async score(texts: readonly string[], options: EncodeOptions = {}): Promise<Scores> {
    const { dimension } = this.card.encoder;
    const features = tensor(
      "float32",
      [texts.length, dimension],
      await this.#encoder.encode(texts, options),
    );
    const results = await this.#session.run({ features });
    const reward = (await this.#runtime.read(results["reward"]!)).data as Float32Array<ArrayBuffer>;
    return {
      reward,
      probability: probabilities(this.card.calibration.text, reward),
      quantile: Float64Array.from(reward, (value) => quantileOf(this.card.quantiles, value)),
    };
  }

  /** Releases the session, its device and the encoder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
  }
}
