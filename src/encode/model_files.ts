/** Finds the files of a model: in a folder, in a mirror, kept from before, or on the Hugging Face hub. */
import { basename, join, resolve } from "@std/path";
import { FairlError, messageOf, writeFileAtomic } from "../base/mod.ts";

const HUB = "https://huggingface.co";

/** Reads a model's files by their path in it. */
export interface ModelFiles {
  /** What the model is called in messages. */
  readonly name: string;
  /** What it is called in ids: without the folders around it, which differ between machines. */
  readonly title: string;
  /** A file's bytes, or undefined where the model has no such file. */
  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Where hub models may lie. */
export interface HubPlaces {
  /** A folder with models as `owner/name/...`, asked first; the network is not asked after it. */
  readonly mirror?: string;
  /** A folder in which downloaded files are kept. */
  readonly cache?: string;
}

/** The files in a folder. */
export function folderFiles(folder: string): ModelFiles {
  return {
    name: folder,
    title: basename(resolve(folder)),
    read: (path) => readIfThere(join(folder, path)),
  };
}

/**
 * The files of a model on the hub, `owner/name`.
 *
 * @throws FairlError `encode.missing` from `read`, when the hub cannot be reached or has no such model
 */
export async function hubFiles(name: string, { mirror, cache }: HubPlaces): Promise<ModelFiles> {
  if (mirror !== undefined) {
    const folder = join(mirror, name);
    if (await Deno.stat(folder).then(({ isDirectory }) => isDirectory, () => false)) {
      return { ...folderFiles(folder), title: name };
    }
  }
  return {
    name,
    title: name,
    async read(path) {
      const kept = cache === undefined ? undefined : join(cache, "hub", name, path);
      const there = kept && await readIfThere(kept);
      if (there) return there;
      const bytes = await download(name, path);
      if (kept && bytes) await writeFileAtomic(kept, bytes);
      return bytes;
    },
  };
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function download(name: string, path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const problem = (reason: string, cause?: unknown) =>
    new FairlError(
      "encode.missing",
      `${path} of ${name} could not be fetched (${reason}); name a folder with the model instead`,
      { cause },
    );
  try {
    const response = await fetch(`${HUB}/${name}/resolve/main/${path}`);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw problem(`status ${response.status}`);
  } catch (error) {
    throw error instanceof FairlError ? error : problem(messageOf(error), error);
  }
}
