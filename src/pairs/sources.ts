/** Data sets that are pinned by commit and hash: a mirror folder, the cache, or the network. */
import { join } from "@std/path";
import { FairlError, type Progress, sha256OfFile, silent } from "../base/mod.ts";
import { download } from "../hub/mod.ts";

/** What is known of a source before it is fetched. */
export interface Source {
  /** The file's name in a mirror folder and in the cache. */
  readonly file: string;
  /** Where it is, below the host. */
  readonly path: string;
  /** The SHA-256 of its bytes. */
  readonly sha256: string;
  /** Its size. */
  readonly bytes: number;
  /** Its licence, as an SPDX name. */
  readonly licence: string;
  /** What to cite. */
  readonly citation: string;
}

/** The sources that are fetched, by name. */
export const SOURCES = {
  paradetox: {
    file: "paradetox.tsv",
    path: "s-nlp/paradetox/d97b17d0813539cf05c74f9cdb5e66372704ca57/paradetox/paradetox.tsv",
    sha256: "6e5e80def7deaf4a3410f7de6c638c13f100ce5ece09ee84a47f6f14ab69a0cd",
    bytes: 1_627_340,
    licence: "CC0-1.0",
    citation: "Logacheva et al., ParaDetox: Detoxification with Parallel Data, ACL 2022",
  },
  davidson: {
    file: "davidson_labeled_data.csv",
    path: "t-davidson/hate-speech-and-offensive-language/" +
      "cb50f7e9eb855a99abc51423bf40df0e26d6fe30/data/labeled_data.csv",
    sha256: "fcb8bc7c68120ae4af04a5b9acd58585513ede11e1548ebf36a5c2040b6f6281",
    bytes: 2_546_446,
    licence: "MIT",
    citation: "Davidson et al., Automated Hate Speech Detection and the Problem of Offensive " +
      "Language, ICWSM 2017",
  },
} as const satisfies Record<string, Source>;

/** The name of a source that is fetched. */
export type SourceName = keyof typeof SOURCES;

/** Where sources are looked for. */
export interface FetchOptions {
  /** A folder that has the files already. Default: the environment's `FAIRL_MIRROR`. */
  readonly mirror?: string | undefined;
  /** The folder where what was fetched is kept. Default: {@linkcode defaultCache}. */
  readonly cache?: string | undefined;
  /** The host, for tests and mirrors of it. Default: `https://raw.githubusercontent.com`. */
  readonly host?: string | undefined;
  /** Hears of bytes. */
  readonly progress?: Progress | undefined;
  /** Ends a download early; a later call goes on with it. */
  readonly signal?: AbortSignal | undefined;
}

/** A source that lies on this machine and has the pinned hash. */
export interface FetchedSource {
  /** The file. */
  readonly path: string;
  /** Its SHA-256. */
  readonly sha256: string;
  /** Where it was found. */
  readonly from: "mirror" | "cache" | "network";
}

/** `FAIRL_CACHE`, or `fairl` in the folder where this system keeps caches. */
export function defaultCache(): string {
  const environment = (name: string) => Deno.env.get(name);
  const chosen = environment("FAIRL_CACHE");
  if (chosen) return chosen;
  if (Deno.build.os === "windows") return join(environment("LOCALAPPDATA") ?? ".", "fairl");
  const home = environment("HOME") ?? ".";
  if (Deno.build.os === "darwin") return join(home, "Library", "Caches", "fairl");
  return join(environment("XDG_CACHE_HOME") ?? join(home, ".cache"), "fairl");
}

/**
 * Finds a source in the mirror folder, the cache or the network, in this order, and checks its
 * hash wherever it comes from.
 *
 * @throws FairlError `pairs.source-unavailable` when none of the three has it, `pairs.wrong-hash`
 */
export async function fetchSource(
  name: SourceName,
  options: FetchOptions = {},
): Promise<FetchedSource> {
  const source: Source = SOURCES[name];
  const { sha256 } = source;
  const mirror = options.mirror ?? Deno.env.get("FAIRL_MIRROR");
  if (mirror) {
    const path = join(mirror, source.file);
    const found = await hashIfThere(path);
    if (found === sha256) return { path, sha256, from: "mirror" };
    if (found !== undefined) {
      throw new FairlError(
        "pairs.wrong-hash",
        `${path} is not the file that was pinned: its SHA-256 is ${found}, not ${sha256}`,
      );
    }
  }
  const path = join(options.cache ?? defaultCache(), "sources", source.file);
  const cached = await hashIfThere(path);
  if (cached === sha256) return { path, sha256, from: "cache" };
  // A damaged file in a cache of ours is no reason to stop: it is fetched again.
  if (cached !== undefined) await Deno.remove(path);
  const url = `${options.host ?? "https://raw.githubusercontent.com"}/${source.path}`;
  try {
    await download(url, path, {
      digest: sha256,
      progress: options.progress ?? silent,
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (cause) {
    if (!(cause instanceof FairlError)) throw cause;
    if (cause.code === "hub.wrong-hash") {
      throw new FairlError("pairs.wrong-hash", cause.message, { cause });
    }
    throw new FairlError(
      "pairs.source-unavailable",
      `${name} is neither in ${mirror ? mirror : "a folder named by FAIRL_MIRROR"} nor in the ` +
        `cache, and ${cause.message}. Without it, use --pairs synthetic.`,
      { cause },
    );
  }
  return { path, sha256, from: "network" };
}

async function hashIfThere(path: string): Promise<string | undefined> {
  try {
    return await sha256OfFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
