/** How long work tells that it moves on, without knowing whether anybody looks. */

/** A receiver of progress. The command line draws bars with it; a library call stays silent. */
export interface Progress {
  /**
   * A stage begins.
   *
   * @param stage What is being done, as a short noun: "encode"
   * @param total How many units it has
   * @param unit What a unit is, in the plural: "texts"
   */
  start(stage: string, total: number, unit: string): void;
  /** `done` units of the current stage are finished in all. */
  update(done: number, note?: string): void;
  /** The current stage is finished. */
  end(): void;
  /** A line worth keeping. */
  log(line: string): void;
}

/** Drops everything. */
export const silent: Progress = { start() {}, update() {}, end() {}, log() {} };
