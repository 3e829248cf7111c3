/** Finds the files of a model: in a folder, in a mirror, kept from before, or on the Hugging Face hub. */
import { basename, join, resolve } from "@std/path";
import { FairlError, messageOf, type Progress, writeFileAtomic } from "../base/mod.ts";
import { download } from "./download.ts";

/** Finds a model's files by their path in it. */
export interface ModelFiles {
  /** What the model is called in messages. */
  readonly name: string;
  /** What it is called in ids: without the folders around it, which differ between machines. */
  readonly title: string;
  /** Where a file lies on this machine, or undefined where the model has no such file. */
  locate(path: string): Promise<string | undefined>;
  /** A file's bytes, or undefined where the model has no such file. */
  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Where hub models may lie. */
export interface HubPlaces {
  /** A folder with models as `owner/name/...`, asked first; the network is not asked after it. */
  readonly mirror?: string | undefined;
  /** The folder in which downloaded files are kept. */
  readonly cache: string;
  /** The hub. Default: the environment's `HF_ENDPOINT`, else `https://huggingface.co`. */
  readonly endpoint?: string | undefined;
  /** Hears of bytes. */
  readonly progress?: Progress | undefined;
  /** Ends a download early; a later call goes on with it. */
  readonly signal?: AbortSignal | undefined;
}

/** Whether a name may be one of the hub: `owner/name`, or `owner/name@revision`. */
export function isHubName(name: string): boolean {
  return NAME.test(name);
}
const NAME = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?$/;
const COMMIT = /^[0-9a-f]{40}$/;
const DIGEST = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Redirects that are followed on the hub itself: to a model's new name. */
const REDIRECTS = 5;

/** The files in a folder. */
export function folderFiles(folder: string): ModelFiles {
  return filesOf(folder, basename(resolve(folder)), (path) => fileIfThere(join(folder, path)));
}

/**
 * The files of a model on the hub. They are kept by the commit that the revision named when the first of
 * them was fetched, so that all are of one commit; a revision that moved on is fetched anew once its folder in
 * the cache is removed.
 *
 * @param name `owner/name`, or `owner/name@revision` for a branch, tag or commit other than `main`
 * @throws FairlError from `locate` and `read`: `hub.download` when the hub cannot be reached or lets nobody
 * have the model, `hub.wrong-hash` when what came is not what the hub says it has
 */
export async function hubFiles(name: string, places: HubPlaces): Promise<ModelFiles> {
  const [, model, revision = "main"] = NAME.exec(name) ?? [];
  if (model === undefined) throw new FairlError("hub.download", `${name} is no name on the hub`);
  const { mirror, cache } = places;
  if (mirror !== undefined) {
    const folder = join(mirror, model);
    if (await Deno.stat(folder).then(({ isDirectory }) => isDirectory, () => false)) {
      return { ...folderFiles(folder), title: name };
    }
  }
  const own = join(cache, "hub", model);
  const reference = join(own, "refs", revision);
  const known = () => Deno.readTextFile(reference).catch(() => undefined);
  return filesOf(name, name, async (path) => {
    const commit = COMMIT.test(revision) ? revision : await known();
    const kept = commit && join(own, commit, path);
    const there = kept && await fileIfThere(kept);
    if (there || (kept && await fileIfThere(`${kept}.none`))) return there;
    const found = await ask(model, commit ?? revision, path, places);
    if (!found) {
      if (kept) await writeFileAtomic(`${kept}.none`, "");
      return undefined;
    }
    if (commit === undefined) await writeFileAtomic(reference, found.commit);
    const to = join(own, found.commit, path);
    const { progress, signal } = places;
    await download(found.url, to, {
      digest: found.digest,
      ...(progress ? { progress } : {}),
      ...(signal ? { signal } : {}),
    });
    return to;
  });
}

function filesOf(name: string, title: string, locate: ModelFiles["locate"]): ModelFiles {
  return {
    name,
    title,
    locate,
    async read(path) {
      const file = await locate(path);
      return file === undefined ? undefined : await Deno.readFile(file);
    },
  };
}

async function fileIfThere(path: string): Promise<string | undefined> {
  return await Deno.stat(path).then(({ isFile }) => isFile ? path : undefined, () => undefined);
}

/** What the hub says of a file. */
interface HubFile {
  /** Its address at that commit. */
  readonly url: string;
  /** The commit that the revision names. */
  readonly commit: string;
  /** SHA-256 of a large file, git's hash of a small one. */
  readonly digest: string;
}

/** Asks the hub for a file's commit and hash; undefined where the model has no such file. */
async function ask(
  model: string,
  revision: string,
  path: string,
  { endpoint = Deno.env.get("HF_ENDPOINT") || "https://huggingface.co", signal }: HubPlaces,
): Promise<HubFile | undefined> {
  const hub = endpoint.replace(/\/+$/, "");
  const problem = (reason: string, cause?: unknown) =>
    new FairlError(
      "hub.download",
      `${path} of ${model} cannot be had from ${hub} (${reason}); name a folder with the model instead`,
      { cause },
    );
  const address = (at: string) => `${hub}/${model}/resolve/${encodeURIComponent(at)}/${path}`;
  let url = address(revision);
  for (let redirect = 0; redirect <= REDIRECTS; redirect++) {
    const { status, headers } = await head(url, signal).catch((error) => {
      signal?.throwIfAborted();
      throw problem(messageOf(error).split("\n")[0]!, error);
    });
    const commit = headers.get("x-repo-commit");
    const elsewhere = headers.get("location");
    // To where large files lie it redirects too; then the headers are there already.
    if (status >= 300 && status < 400 && elsewhere && !commit) {
      const next = new URL(elsewhere, url);
      if (next.origin !== new URL(hub).origin) throw problem(`it leads to ${next.origin}`);
      url = next.href;
      continue;
    }
    if (status === 404 && !/Repo|Revision/.test(headers.get("x-error-code") ?? "")) {
      return undefined;
    }
    if (status >= 400) {
      throw problem(
        status === 401 || status === 403
          ? `status ${status}: there is no such model, or not for everybody`
          : headers.get("x-error-message") ?? `status ${status}`,
      );
    }
    const tag = headers.get("x-linked-etag") ?? headers.get("etag") ?? "";
    const digest = tag.replace(/^W\//, "").replaceAll('"', "");
    if (!commit || !COMMIT.test(commit) || !DIGEST.test(digest)) {
      throw problem("it says neither commit nor hash of the file");
    }
    return { url: url.replace(/\/resolve\/[^/]+\//, `/resolve/${commit}/`), commit, digest };
  }
  throw problem("it redirects without end");
}

async function head(url: string, signal: AbortSignal | undefined): Promise<Response> {
  const quiet = AbortSignal.timeout(30_000);
  const response = await fetch(url, {
    method: "HEAD",
    redirect: "manual",
    headers: { "accept-encoding": "identity" },
    signal: signal ? AbortSignal.any([signal, quiet]) : quiet,
  });
  await response.body?.cancel();
  return response;
}
