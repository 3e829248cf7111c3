/** `fairl fetch`: downloads ahead of time what a run would download. */
import { FairlError } from "../base/mod.ts";
import { openEncoder } from "../encode/mod.ts";
import { fetchSource, type SourceName, SOURCES } from "../pairs/mod.ts";
import { loadOrt } from "../runtime/mod.ts";
import { cacheFolder, interruptible } from "./options.ts";
import { print, terminalProgress } from "./terminal.ts";

/** What can be named beside the data sources. */
const PACKAGES: Record<string, () => Promise<string>> = {
  native: async () => {
    await loadOrt("native");
    return "onnxruntime-node";
  },
  wasm: async () => {
    await loadOrt("wasm");
    return "onnxruntime-web";
  },
  "use-lite": async () => {
    await using encoder = await openEncoder("use-lite", { device: "wasm" });
    return encoder.id;
  },
};

/** Everything that can be fetched, by name. */
export const FETCHABLE: readonly string[] = [...Object.keys(SOURCES), ...Object.keys(PACKAGES)];

/**
 * Runs the command.
 *
 * @param names What to fetch; without any, all that the default `train` needs
 * @throws FairlError `cli.fetch` when a name is unknown
 */
export async function fetchAll(names: readonly string[]): Promise<void> {
  const wanted = names.length > 0 ? names : ["paradetox", "davidson", "wasm", "use-lite"];
  const unknown = wanted.find((name) => !FETCHABLE.includes(name));
  if (unknown !== undefined) {
    throw new FairlError(
      "cli.fetch",
      `There is no ${unknown} to fetch; there are ${FETCHABLE.join(", ")}`,
    );
  }
  await interruptible(async (signal) => {
    for (const name of wanted) {
      const known = PACKAGES[name];
      if (known) {
        print(`${name}: ${await known()}`);
      } else {
        const { path, sha256, from } = await fetchSource(name as SourceName, {
          cache: cacheFolder(),
          progress: terminalProgress(),
          signal,
        });
        print(`${name}: ${path} (from the ${from}, sha256 ${sha256})`);
      }
    }
  });
}
