/** Fills a feature cache until it is done or killed: folder, first row, rows. */
import { FeatureCache } from "../../src/encode/mod.ts";

const [folder, from, rows] = Deno.args as [string, string, string];
using cache = await FeatureCache.open(folder, { id: "test", device: "wasm", dimension: 16 });
for (let at = Number(from); at < Number(from) + Number(rows); at++) {
  cache.add(`${at}`, new Float32Array(16).fill(at));
}
