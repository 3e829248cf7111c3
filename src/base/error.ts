/** One error class for everything a user can cause; each room names its own codes. */

/**
 * An error with a stable code. The command line prints it as one line and exits non-zero; HTTP
 * answers the same code in a problem body. Anything else that is thrown is a defect of ours.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { FairlError } from "./error.ts";
 * const error = new FairlError("pairs.empty", "no pair was left after filtering");
 * assert(error.code === "pairs.empty");
 * ```
 */
export class FairlError extends Error {
  /** The class's name, for logs. */
  override readonly name = "FairlError";
  /**
   * Makes an error.
   *
   * @param code Stable, dotted, prefixed by the room: `room.problem`
   * @param message One plain sentence that says what is wrong and, where there is one, the mend
   * @param options `cause` keeps the error underneath
   */
  constructor(readonly code: string, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
