/** Where a run was, in a file that is whole or not there. */
import { deserialize, serialize } from "node:v8";
import { writeFileAtomic } from "./files.ts";
import { sha256 } from "./hash.ts";

/** Length of a SHA-256 in hexadecimal. */
const DIGEST = 64;

/**
 * Keeps a checkpoint: plain data with typed arrays.
 *
 * @param fingerprint Names the run that may go on from it
 */
export async function writeCheckpoint(
  path: string,
  fingerprint: string,
  checkpoint: unknown,
): Promise<void> {
  const body = serialize({ fingerprint, checkpoint });
  const whole = new Uint8Array(DIGEST + body.length);
  whole.set(new TextEncoder().encode(sha256(body)));
  whole.set(body, DIGEST);
  await writeFileAtomic(path, whole);
}

/** The checkpoint of the same run; undefined where there is none, or a damaged one. */
export async function readCheckpoint<T>(path: string, fingerprint: string): Promise<T | undefined> {
  let whole: Uint8Array;
  try {
    whole = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const body = whole.subarray(DIGEST);
  if (new TextDecoder().decode(whole.subarray(0, DIGEST)) !== sha256(body)) return undefined;
  const kept = deserialize(body) as { fingerprint: string; checkpoint: T };
  return kept.fingerprint === fingerprint ? kept.checkpoint : undefined;
}
