/** Scoring texts with an artefact: reward, calibrated probability, quantile. */
import { FairlError } from "../base/mod.ts";
import { type EncodeOptions, type Encoder, openEncoder } from "../encode/mod.ts";
import { probabilities, quantileOf } from "../metrics/mod.ts";
import { type DeviceRequest, Runtime, type Session, tensor } from "../runtime/mod.ts";
import { loadArtefact } from "./artefact.ts";
import type { Card } from "./card.ts";

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

/** An artefact that is ready to score texts. */
export class TextReward implements AsyncDisposable {
  private constructor(
    /** What the artefact says of itself. */
    readonly card: Card,
    private readonly runtime: Runtime,
    private readonly session: Session,
    private readonly encoder: Encoder,
  ) {}

  /**
   * Opens an artefact with the encoder it was trained on.
   *
   * @throws FairlError as {@linkcode loadArtefact} and {@linkcode openEncoder} do;
   * `reward.encoder` when the encoder is not the one the artefact was trained on
   */
  static async open(folder: string, options: RewardOptions = {}): Promise<TextReward> {
    const { card, model } = await loadArtefact(folder);
    if (card.encoder.name === GIVEN_FEATURES) {
      throw new FairlError(
        "reward.encoder",
        `${folder} was trained on given features, not on texts: run reward.onnx on features`,
      );
    }
    const { device = "auto", cache } = options;
    const encoder = await openEncoder(card.encoder.name, {
      device,
      ...(cache === undefined ? {} : { cache }),
    });
    if (encoder.id !== card.encoder.id) {
      await encoder[Symbol.asyncDispose]();
      throw new FairlError(
        "reward.encoder",
        `${folder} was trained on ${card.encoder.id}, and here ${card.encoder.name} is ${encoder.id}`,
      );
    }
    const runtime = await Runtime.open(device);
    return new TextReward(card, runtime, await runtime.session(model), encoder);
  }

  /** Scores texts, in their order. */
  async score(texts: readonly string[], options: EncodeOptions = {}): Promise<Scores> {
    const { dimension } = this.card.encoder;
    if (texts.length === 0) {
      return {
        reward: new Float32Array(),
        probability: new Float64Array(),
        quantile: new Float64Array(),
      };
    }
    const features = tensor(
      "float32",
      [texts.length, dimension],
      await this.encoder.encode(texts, options),
    );
    const results = await this.session.run({ features });
    const reward = (await this.runtime.read(results["reward"]!)).data as Float32Array<ArrayBuffer>;
    return {
      reward,
      probability: probabilities(this.card.calibration.text, reward),
      quantile: Float64Array.from(reward, (value) => quantileOf(this.card.quantiles, value)),
    };
  }

  /** Releases the session, its device and the encoder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.runtime[Symbol.asyncDispose]();
    await this.encoder[Symbol.asyncDispose]();
  }
}

/** The encoder's name of an artefact that was trained on features that came with the pairs. */
export const GIVEN_FEATURES = "features";
