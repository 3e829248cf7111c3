/** Pinned sources from a mirror, the cache and a real HTTP server that breaks off. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FairlError, sha256 } from "../../src/base/mod.ts";
import { download } from "../../src/hub/mod.ts";
import { fetchSource, loadParadetox, type SourceName, SOURCES } from "../../src/pairs/mod.ts";

const MIRROR = Deno.env.get("FAIRL_MIRROR")!;
const original = (name: SourceName) => Deno.readFile(`${MIRROR}/${SOURCES[name].file}`);

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** How the server treats one request. */
type Manner = "whole" | "break off" | "ignore the range" | 404 | 503;

/** Serves bytes under any path; `manners` holds for the requests in turn, the last one for ever. */
async function withServer(
  bytes: Uint8Array<ArrayBuffer>,
  manners: Manner[],
  use: (host: string, ranges: (string | null)[]) => Promise<void>,
): Promise<void> {
  const ranges: (string | null)[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const range = request.headers.get("range");
    ranges.push(range);
    const manner = manners.length > 1 ? manners.shift()! : manners[0]!;
    if (typeof manner === "number") return new Response("no", { status: manner });
    const from = range && manner !== "ignore the range" ? Number(/\d+/.exec(range)![0]) : 0;
    if (range && from >= bytes.length) return new Response(null, { status: 416 });
    const rest = bytes.subarray(from);
    const headers = { "content-length": String(rest.length) };
    const status = from > 0 ? 206 : 200;
    if (manner !== "break off") return new Response(rest, { status, headers });
    const half = rest.subarray(0, rest.length >> 1);
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        controller.enqueue(half);
        // Time for the half to arrive; fewer bytes than announced tear the connection down.
        await new Promise((resolve) => setTimeout(resolve, 50));
        controller.close();
      },
    }, { highWaterMark: 0 });
    return new Response(body, { status, headers });
  });
  try {
    await use(`http://127.0.0.1:${server.addr.port}`, ranges);
  } finally {
    await server.shutdown();
  }
}

async function failure(run: () => Promise<unknown>): Promise<FairlError> {
  return await assertRejects(run, FairlError) as FairlError;
}

Deno.test("the order is mirror, cache, network, and the cache serves the second time", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await withServer(bytes, ["whole"], async (host, ranges) => {
      const options = { mirror: `${folder}/nothing`, cache: folder, host };
      assertEquals((await fetchSource("paradetox", { ...options, mirror: MIRROR })).from, "mirror");
      assertEquals(ranges.length, 0);
      const fetched = await fetchSource("paradetox", options);
      assertEquals([fetched.from, fetched.sha256], ["network", SOURCES.paradetox.sha256]);
      assertEquals((await fetchSource("paradetox", options)).from, "cache");
      assertEquals(ranges.length, 1);
      assertEquals((await loadParadetox(options)).length, 11_927);
    });
  });
});

Deno.test("a download that breaks off twice resumes where it was", async () => {
  const bytes = await original("davidson");
  await inFolder(async (folder) => {
    await withServer(bytes, ["break off", "break off", "whole"], async (host, ranges) => {
      const { path } = await fetchSource("davidson", { mirror: folder, cache: folder, host });
      assertEquals(sha256(await Deno.readFile(path)), SOURCES.davidson.sha256);
      const half = bytes.length >> 1;
      const rest = half + ((bytes.length - half) >> 1);
      assertEquals(ranges, [null, `bytes=${half}-`, `bytes=${rest}-`]);
    });
    assertEquals([...Deno.readDirSync(`${folder}/sources`)].map(({ name }) => name), [
      SOURCES.davidson.file,
    ]);
  });
});

Deno.test("what a killed process left is continued by the next", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/sources`);
    await Deno.writeFile(`${folder}/sources/paradetox.tsv.part`, bytes.subarray(0, 1000));
    await withServer(bytes, ["whole"], async (host, ranges) => {
      await fetchSource("paradetox", { mirror: folder, cache: folder, host });
      assertEquals(ranges, ["bytes=1000-"]);
    });
  });
});

Deno.test("a part that is whole already is only checked", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await Deno.writeFile(`${folder}/file.part`, bytes);
    await withServer(bytes, ["whole"], async (host) => {
      await download(host, `${folder}/file`, { digest: SOURCES.paradetox.sha256 });
    });
    assertEquals(await Deno.readFile(`${folder}/file`), bytes);
  });
});

Deno.test("a server that knows no ranges sends the file from its start", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await withServer(bytes, ["break off", "ignore the range"], async (host) => {
      const { path } = await fetchSource("paradetox", { mirror: folder, cache: folder, host });
      assertEquals(await Deno.readFile(path), bytes);
    });
  });
});

Deno.test("a server that is busy for a moment is asked again", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await withServer(bytes, [503, "whole"], async (host, ranges) => {
      await fetchSource("paradetox", { mirror: folder, cache: folder, host });
      assertEquals(ranges.length, 2);
    });
  });
});

Deno.test("a file with another hash is refused and leaves nothing to continue", async () => {
  const bytes = await original("paradetox");
  const wrong = bytes.slice();
  wrong[1000]! ^= 1;
  await inFolder(async (folder) => {
    await withServer(wrong, ["whole"], async (host) => {
      const error = await failure(() =>
        fetchSource("paradetox", { mirror: folder, cache: folder, host })
      );
      assertEquals(error.code, "pairs.wrong-hash");
    });
    await withServer(bytes, ["whole"], async (host, ranges) => {
      await fetchSource("paradetox", { mirror: folder, cache: folder, host });
      assertEquals(ranges, [null]);
    });
  });
});

Deno.test("a wrong file in the mirror is an error, one in the cache is fetched again", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/paradetox.tsv`, "toxic\tneutral1\n");
    const error = await failure(() => fetchSource("paradetox", { mirror: folder, cache: folder }));
    assertEquals(error.code, "pairs.wrong-hash");
    await Deno.mkdir(`${folder}/sources`);
    await Deno.writeTextFile(`${folder}/sources/paradetox.tsv`, "damaged");
    await withServer(bytes, ["whole"], async (host) => {
      const options = { mirror: `${folder}/nothing`, cache: folder, host };
      assertEquals((await fetchSource("paradetox", options)).from, "network");
    });
  });
});

Deno.test("where nothing has the source, one line names --pairs synthetic", async () => {
  await inFolder(async (folder) => {
    for (const manner of [404, 503] as const) {
      await withServer(new Uint8Array(1), [manner], async (host) => {
        const error = await failure(() =>
          fetchSource("paradetox", { mirror: folder, cache: folder, host })
        );
        assertEquals(error.code, "pairs.source-unavailable");
        assert(error.message.includes("--pairs synthetic"), error.message);
        assert(!error.message.includes("\n"), error.message);
      });
    }
    // A port that nobody listens on.
    const error = await failure(() =>
      fetchSource("davidson", { mirror: folder, cache: folder, host: "http://127.0.0.1:9" })
    );
    assertEquals(error.code, "pairs.source-unavailable");
  });
});

Deno.test("two that want one file at once fetch it once", async () => {
  const bytes = await original("paradetox");
  await inFolder(async (folder) => {
    await withServer(bytes, ["whole"], async (host, ranges) => {
      const options = { mirror: `${folder}/nothing`, cache: folder, host };
      const both = await Promise.all([1, 2].map(() => fetchSource("paradetox", options)));
      assertEquals(both[0]!.path, both[1]!.path);
      assertEquals(ranges.length, 1);
    });
  });
});

Deno.test("an aborted download ends at once and keeps what has come", async () => {
  const bytes = await original("davidson");
  await inFolder(async (folder) => {
    const controller = new AbortController();
    const progress = {
      start() {},
      update: () => controller.abort(),
      end() {},
      log() {},
    };
    await withServer(bytes, ["whole"], async (host) => {
      await assertRejects(
        () =>
          fetchSource("davidson", {
            mirror: folder,
            cache: folder,
            host,
            progress,
            signal: controller.signal,
          }),
        DOMException,
      );
    });
    assert((await Deno.stat(`${folder}/sources/${SOURCES.davidson.file}.part`)).size > 0);
  });
});
