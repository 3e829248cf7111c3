/** Folders that commands write. */
import { FairlError } from "../base/mod.ts";

/**
 * A folder that is there and holds something else than what a command writes is not ours to replace.
 *
 * @param mark A file that every folder of the command's has
 * @param what What such a folder is called
 * @throws FairlError `cli.out`
 */
export async function refuseForeignFolder(out: string, mark: string, what: string): Promise<void> {
  let names: string[];
  try {
    names = (await Array.fromAsync(Deno.readDir(out))).map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof Deno.errors.NotADirectory) names = ["a file"];
    else throw error;
  }
  if (names.length > 0 && !names.includes(mark)) {
    throw new FairlError(
      "cli.out",
      `--out: ${out} is there and is no ${what}; name a folder that is empty or new`,
    );
  }
}
