/** Named steps of a long computation, each kept once it is finished, so that a killed run goes on. */
import { join } from "@std/path";
import { deserialize, serialize } from "node:v8";
import { sha256, writeFileAtomic } from "../base/mod.ts";

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
      const kept = await read<T>(path);
      if (kept !== undefined) return kept.result;
      const result = await work();
      const body = serialize(result);
      const digest = new TextEncoder().encode(sha256(body));
      const whole = new Uint8Array(digest.length + body.length);
      whole.set(digest);
      whole.set(body, digest.length);
      await writeFileAtomic(path, whole);
      return result;
    },
  };
}

/** Length of a SHA-256 in hexadecimal: the head of each file is its body's hash. */
const DIGEST = 64;

async function read<T>(path: string): Promise<{ result: T } | undefined> {
  let whole: Uint8Array;
  try {
    whole = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const body = whole.subarray(DIGEST);
  // A file that does not match its hash is computed again rather than trusted.
  if (new TextDecoder().decode(whole.subarray(0, DIGEST)) !== sha256(body)) return undefined;
  return { result: deserialize(body) as T };
}
