/** Files from the network that resume where they broke off and are checked before they are used. */
import { createHash } from "node:crypto";
import { dirname } from "@std/path";
import { FairlError, messageOf, type Progress, sha256OfFile, silent } from "../base/mod.ts";

/** How long a server may be silent, in milliseconds. */
const SILENCE = 30_000;
/** How often a download is tried again while it moves on. */
const ATTEMPTS = 8;

/** How {@linkcode download} works. */
export interface DownloadOptions {
  /** What the file must be: its SHA-256, or the SHA-1 of the git blob that it is, in hexadecimal. */
  readonly digest: string;
  /** Hears of bytes. */
  readonly progress?: Progress;
  /** Ends the download early; what has come is kept. */
  readonly signal?: AbortSignal;
}

/**
 * Fetches a file to `path`. The part that has come lies beside it as `path.part`; a later call
 * asks for the rest only (HTTP Range). The file appears under its name once it is whole and has
 * the right hash. Two processes that want the same file wait for each other.
 *
 * @throws FairlError `hub.download` (unreachable, or the server's status), `hub.wrong-hash`
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<void> {
  const { progress = silent } = options;
  await Deno.mkdir(dirname(path), { recursive: true });
  const partial = `${path}.part`;
  using file = await Deno.open(partial, { create: true, write: true });
  await file.lock(true);
  if (await Deno.stat(path).then(() => true, () => false)) return;
  let stalled = 0;
  for (let attempt = 0;; attempt++) {
    const before = (await file.stat()).size;
    try {
      await receive(url, file, before, progress, options.signal);
      break;
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (cause instanceof FairlError) throw cause;
      stalled = (await file.stat()).size > before ? 0 : stalled + 1;
      if (stalled === 2 || attempt === ATTEMPTS) {
        const reason = messageOf(cause);
        throw new FairlError("hub.download", `${url} cannot be fetched: ${reason}`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 250 * (attempt + 1)));
    }
  }
  await file.sync();
  const [kind, found] = options.digest.length === 40
    ? ["git hash", await gitHashOfFile(partial)]
    : ["SHA-256", await sha256OfFile(partial)];
  if (found !== options.digest) {
    await file.truncate(0);
    throw new FairlError(
      "hub.wrong-hash",
      `${url} is not the file that it should be: its ${kind} is ${found}, not ${options.digest}`,
    );
  }
  await Deno.rename(partial, path);
}

/** One request: appends what the server sends from `from` on. */
async function receive(
  url: string,
  file: Deno.FsFile,
  from: number,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const quiet = new AbortController();
  const silence = () =>
    setTimeout(() => quiet.abort(new Error(`no byte came for ${SILENCE / 1000} s`)), SILENCE);
  let timer = silence();
  try {
    const response = await fetch(url, {
      // The bytes as they are: a length or a range of a compressed answer would not fit them.
      headers: { "accept-encoding": "identity", ...(from > 0 ? { range: `bytes=${from}-` } : {}) },
      signal: signal ? AbortSignal.any([signal, quiet.signal]) : quiet.signal,
    });
    // The part was whole already, or is not of this file: the hash will tell.
    if (response.status === 416) return await response.body?.cancel();
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      const message = `${url} answers with status ${response.status}`;
      // Tried again; other statuses will not change by asking once more.
      if (response.status >= 500 || response.status === 429) throw new Error(message);
      throw new FairlError("hub.download", message);
    }
    let done = response.status === 206 ? from : 0;
    if (done === 0) await file.truncate(0);
    await file.seek(done, Deno.SeekMode.Start);
    const length = Number(response.headers.get("content-length") ?? 0);
    const total = length > 0 ? done + length : 0;
    progress.start("fetch", total, "bytes");
    for await (const chunk of response.body) {
      clearTimeout(timer);
      timer = silence();
      for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
      progress.update(done += chunk.length);
    }
    progress.end();
    if (done < total) throw new Error(`the connection ended after ${done} of ${total} bytes`);
  } finally {
    clearTimeout(timer);
  }
}

/** SHA-1 of a file as git names it. */
async function gitHashOfFile(path: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
