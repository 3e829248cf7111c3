/** What every trainer of a decoder has, whatever its loss: weights out, state in and out. */
import type { Trainer, TrainerState } from "../graph/mod.ts";
import type { HostTensor } from "../runtime/mod.ts";
import type { Trainable } from "./trainable.ts";

/** A compiled step with the decoder that it moves. */
export abstract class DecoderTrainer implements AsyncDisposable {
  /** Takes a compiled step and what it trains. */
  protected constructor(
    protected readonly trainer: Trainer,
    private readonly trainable: Trainable,
  ) {}

  /** The decoder's weights as they are now, adapters merged. */
  async weights(): Promise<Record<string, HostTensor<"float32">>> {
    return this.trainable.merged(await this.trainer.parameters());
  }

  /** What is trained, as it is now: with LoRA the adapters alone. */
  async parameters(): Promise<Record<string, HostTensor<"float32">>> {
    return await this.trainer.parameters();
  }

  /** Everything that the next step depends on. */
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
