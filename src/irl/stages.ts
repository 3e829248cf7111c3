/** Named steps of a long computation, each kept once it is finished, so that a killed run goes on. */
import { join } from "@std/path";
import { readCheckpoint, sha256, writeCheckpoint } from "../base/mod.ts";

/** Remembers the results of finished steps. */
export interface Stages {
  /** The kept result of a step, or what `work` gives, kept from now on. */
  run<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** Keeps nothing: for a run that nobody needs to resume. */
export const unkept: Stages = { run: (_name, work) => work() };

/**
 * Keeps each result as a file in a folder. A result is used again only when it was computed for the
 * same `fingerprint`, and is written whole or not at all, so that a kill at any moment leaves the
 * folder usable.
 *
 * @param folder Where to keep them; made when the first step is finished
 * @param fingerprint What all results depend on: data hash, settings, seed, device
 */
export function keptIn(folder: string, fingerprint: string): Stages {
  return {
    async run<T>(name: string, work: () => Promise<T>): Promise<T> {
      const path = join(folder, `${sha256(`${fingerprint}\n${name}`).slice(0, 32)}.stage`);
      const kept = await readCheckpoint<{ result: T }>(path, fingerprint);
      if (kept) return kept.result;
      const result = await work();
      await writeCheckpoint(path, fingerprint, { result });
      return result;
    },
  };
}
