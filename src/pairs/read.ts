/** Preference pairs out of files, as a stream. */
import { FairlError } from "../base/mod.ts";
import { type ReadOptions, readRows, reporter } from "./rows.ts";
import { pairOf, type PreferencePair } from "./schema.ts";

/**
 * Streams the pairs of a JSONL, CSV, TSV or Parquet file; no row is kept.
 *
 * @param path A file, or "-" for standard input
 * @throws FairlError as {@linkcode readRows} and, with `onError: "stop"`, {@linkcode pairOf} do;
 * the message begins with the file and the line
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { readPairs } from "./read.ts";
 * const path = await Deno.makeTempFile({ suffix: ".jsonl" });
 * await Deno.writeTextFile(path, '{"prompt":"Hi","base":"Go away","aligned":"Hello"}\n{}\n');
 * const bad: string[] = [];
 * for await (
 *   const pair of readPairs(path, {
 *     onError: "skip",
 *     onProblem: ({ line, code }) => bad.push(`${line} ${code}`),
 *   })
 * ) assert(pair.chosen === "Hello" && pair.rejected === "Go away");
 * assert(bad.join() === "2 pairs.missing-column");
 * await Deno.remove(path);
 * ```
 */
export async function* readPairs(
  path: string,
  options: ReadOptions = {},
): AsyncGenerator<PreferencePair> {
  const report = reporter(path === "-" ? "standard input" : path, options);
  for await (const { line, values } of readRows(path, options)) {
    let pair;
    try {
      pair = pairOf(values);
    } catch (error) {
      if (!(error instanceof FairlError)) throw error;
      report({ line, code: error.code, message: error.message });
      continue;
    }
    yield pair;
  }
}
