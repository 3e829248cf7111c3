/** From token states to one embedding a text, as a sentence-transformers model says it wants it. */
import { z } from "zod";
import type { ModelFiles } from "../hub/mod.ts";

/** How the states of a text's tokens become one row. */
export type PoolingMode = "mean" | "mean-root" | "max" | "cls" | "last";

/** What follows the transformer. */
export interface Pooling {
  /** Modes, their results side by side. */
  readonly modes: readonly PoolingMode[];
  /** Whether rows get length 1. */
  readonly normalise: boolean;
}

const Modules = z.array(z.object({ path: z.string(), type: z.string() }));
const Flags = z.record(z.string(), z.unknown());

/** The flags of 1_Pooling/config.json in the order in which sentence-transformers concatenates. */
const FLAGS: readonly [flag: string, mode: PoolingMode][] = [
  ["pooling_mode_cls_token", "cls"],
  ["pooling_mode_max_tokens", "max"],
  ["pooling_mode_mean_tokens", "mean"],
  ["pooling_mode_mean_sqrt_len_tokens", "mean-root"],
  ["pooling_mode_lasttoken", "last"],
];

/**
 * Reads modules.json and the pooling module's config.json. Conversions for the browser leave both
 * out: then the mean, at length 1, which their cards ask for.
 */
export async function readPooling(files: ModelFiles): Promise<Pooling> {
  const json = async (path: string) => {
    const bytes = await files.read(path);
    return bytes && JSON.parse(new TextDecoder().decode(bytes));
  };
  const list = await json("modules.json");
  if (list === undefined) return { modes: ["mean"], normalise: true };
  const modules = Modules.parse(list);
  const ofType = (name: string) => modules.find(({ type }) => type.endsWith(`.${name}`));
  const pooling = ofType("Pooling");
  const flags = Flags.parse(pooling ? await json(`${pooling.path}/config.json`) ?? {} : {});
  const modes = FLAGS.filter(([flag]) => flags[flag] === true).map(([, mode]) => mode);
  return {
    modes: modes.length > 0 ? modes : ["mean"],
    normalise: ofType("Normalize") !== undefined,
  };
}

/**
 * Pools texts of equal length.
 *
 * @param states Token states [texts, tokens, width]
 * @returns rows [texts, modes * width]
 *
 * @example The mean of two tokens
 * ```ts
 * import { pool } from "./pooling.ts";
 * const rows = pool(Float32Array.of(1, 2, 3, 4), 2, 2, { modes: ["mean"], normalise: false });
 * console.assert(rows.join() === "2,3");
 * ```
 */
export function pool(
  states: Float32Array,
  tokens: number,
  width: number,
  { modes, normalise }: Pooling,
): Float32Array<ArrayBuffer> {
  const texts = states.length / (tokens * width);
  const size = modes.length * width;
  const rows = new Float32Array(texts * size);
  for (let text = 0; text < texts; text++) {
    const of = states.subarray(text * tokens * width, (text + 1) * tokens * width);
    const row = rows.subarray(text * size, (text + 1) * size);
    modes.forEach((mode, place) => {
      row.set(poolOne(of, tokens, width, mode), place * width);
    });
    if (normalise) {
      const length = Math.max(Math.hypot(...row), 1e-12);
      row.forEach((value, at) => row[at] = value / length);
    }
  }
  return rows;
}

function poolOne(
  states: Float32Array,
  tokens: number,
  width: number,
  mode: PoolingMode,
): Float32Array {
  if (mode === "cls") return states.subarray(0, width);
  if (mode === "last") return states.subarray((tokens - 1) * width);
  const row = states.slice(0, width);
  for (let at = width; at < states.length; at++) {
    const place = at % width;
    row[place] = mode === "max" ? Math.max(row[place]!, states[at]!) : row[place]! + states[at]!;
  }
  if (mode === "max") return row;
  const divisor = mode === "mean" ? tokens : Math.sqrt(tokens);
  return row.map((value) => value / divisor);
}
