/** Files that are either there whole or not there at all. */
import { basename, dirname, join } from "@std/path";

/** Writes a file next to its final name and renames it, so that nobody ever reads half of it. */
export async function writeFileAtomic(path: string, data: Uint8Array | string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  try {
    const file = await Deno.open(temporary, { write: true, createNew: true });
    try {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/**
 * Lets `fill` write into a fresh folder beside `path`, then puts that folder in the place of
 * `path`. When `fill` throws, `path` is as it was.
 */
export async function writeFolderAtomic(
  path: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  await Deno.mkdir(temporary);
  try {
    await fill(temporary);
    const old = `${temporary}.old`;
    const replaced = await Deno.rename(path, old).then(() => true, (error) => {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    });
    await Deno.rename(temporary, path);
    if (replaced) await Deno.remove(old, { recursive: true });
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
    throw error;
  }
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}.tmp`);
}
