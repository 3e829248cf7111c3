/** Models by their hub name, from a server that speaks the hub's addresses. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { join } from "@std/path";
import { FairlError, sha256 } from "../../src/base/mod.ts";
import { hubFiles, type HubPlaces, isHubName } from "../../src/hub/mod.ts";
import { loadModel } from "../../src/lm/mod.ts";
import { openModel } from "../../src/cli/models.ts";
import { withFolder } from "../cli/process.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS = "model.safetensors";
const MODEL = join(import.meta.dirname!, "..", "..", "models", "comments-base");

/** What a test's hub does, and what it was asked. */
interface Hub {
  readonly endpoint: string;
  /** Method and path of each request, with its range. */
  readonly asked: string[];
  /** Changes what is served. */
  change: Partial<{
    /** Ends the connection after this many bytes, once. */
    cutAfter: number;
    /** Bytes that differ from what the hash says. */
    spoilt: boolean;
    /** The head of a file says no hash. */
    noHash: boolean;
  }>;
}

/** Serves models/comments-base as owner/small: large files out of another place, as the hub does. */
async function withHub(use: (hub: Hub) => Promise<void>): Promise<void> {
  const asked: string[] = [];
  const hub: Hub = { endpoint: "", asked, change: {} };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const range = request.headers.get("range");
    asked.push(`${request.method} ${pathname}${range ? ` ${range}` : ""}`);
    if (pathname.startsWith("/large/")) return await sent(pathname.slice(7), range, hub.change);
    const [, owner, name, , revision, ...rest] = pathname.split("/");
    const model = `${owner}/${name}`;
    const path = rest.join("/");
    // A model that has a new name.
    if (model === "owner/old") {
      return new Response(null, {
        status: 307,
        headers: { location: pathname.replace("old", "small") },
      });
    }
    if (model === "owner/closed") return new Response("no", { status: 403 });
    if (model !== "owner/small") return new Response("no", { status: 401 });
    if (revision !== "main" && revision !== COMMIT) {
      const headers = { "x-error-code": "RevisionNotFound", "x-error-message": "Invalid rev id" };
      return new Response("no", { status: 404, headers });
    }
    const bytes = await Deno.readFile(join(MODEL, path)).catch(() => undefined);
    if (!bytes) {
      return new Response("no", { status: 404, headers: { "x-error-code": "EntryNotFound" } });
    }
    const git = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    const headers = { "x-repo-commit": COMMIT };
    if (hub.change.noHash) return new Response(null, { headers: { ...headers, etag: '"1-2"' } });
    if (path !== WEIGHTS) {
      return new Response(bytes, { headers: { ...headers, etag: `W/"${git}"` } });
    }
    const linked = {
      "x-linked-etag": `"${sha256(bytes)}"`,
      location: `/large/${path}`,
      etag: '"x"',
    };
    return new Response(null, { status: 302, headers: { ...headers, ...linked } });
  });
  try {
    await use(Object.assign(hub, { endpoint: `http://127.0.0.1:${server.addr.port}/` }));
  } finally {
    await server.shutdown();
  }
}

/** A large file, or the rest of it, or as much as comes before the connection ends. */
async function sent(path: string, range: string | null, change: Hub["change"]): Promise<Response> {
  const bytes = await Deno.readFile(join(MODEL, path));
  if (change.spoilt) bytes[bytes.length - 1]! ^= 1;
  const from = range ? Number(/\d+/.exec(range)![0]) : 0;
  const rest = bytes.subarray(from);
  const headers = { "content-length": String(rest.length) };
  const status = from > 0 ? 206 : 200;
  const { cutAfter } = change;
  if (cutAfter === undefined) return new Response(rest, { status, headers });
  delete change.cutAfter;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      controller.enqueue(rest.subarray(0, cutAfter));
      await new Promise((resolve) => setTimeout(resolve, 50));
      controller.close();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { status, headers });
}

async function codeOf(name: string, path: string, places: HubPlaces): Promise<string> {
  const files = await hubFiles(name, places);
  return (await assertRejects(() => files.locate(path), FairlError)).code;
}

Deno.test("a model comes through redirects and a cut connection, is kept by its commit and read without the hub", async () => {
  await withFolder(async (cache) => {
    await withHub(async (hub) => {
      const { endpoint, asked } = hub;
      hub.change.cutAfter = 5000;
      const model = await loadModel(await hubFiles("owner/old", { cache, endpoint }));
      assertEquals(model.weights, (await loadModel(MODEL)).weights);
      assertEquals(model.name, "owner/old");
      assert(asked.includes(`GET /large/${WEIGHTS}`));
      assert(asked.some((line) => /^GET \/large\/\S+ bytes=\d+-$/.test(line)), asked.join("\n"));
      // Whatever came after the first file is of the commit that its revision named.
      const moving = asked.filter((line) => line.includes("/resolve/main/"));
      assertEquals(moving.map((line) => line.split("/").at(-1)), ["config.json", "config.json"]);
      const kept = join(cache, "hub", "owner", "old", COMMIT);
      assertEquals([...Deno.readDirSync(kept)].map(({ name }) => name).sort(), [
        "config.json",
        WEIGHTS,
        "tokenizer.json",
      ]);
    });
    // The hub is gone, and what is not in the cache is not there either.
    const endpoint = "http://127.0.0.1:9";
    const again = await loadModel(await hubFiles("owner/old", { cache, endpoint }));
    assertEquals(again.config.vocabulary, 4096);
    assertEquals(await codeOf("owner/old", "README.md", { cache, endpoint }), "hub.download");
  });
});

Deno.test("a file that the model lacks is remembered as absent", async () => {
  await withFolder(async (cache) => {
    await withHub(async ({ endpoint, asked }) => {
      const files = await hubFiles(`owner/small@${COMMIT}`, { cache, endpoint });
      for (let time = 0; time < 2; time++) {
        assertEquals(await files.locate("merges.txt"), undefined);
        assertEquals(await files.read("merges.txt"), undefined);
      }
      assertEquals(asked.length, 1);
    });
  });
});

Deno.test("what is not what the hub says it is is refused, and leaves nothing to continue", async () => {
  await withFolder(async (cache) => {
    await withHub(async (hub) => {
      const places = { cache, endpoint: hub.endpoint };
      hub.change.spoilt = true;
      assertEquals(await codeOf("owner/small", WEIGHTS, places), "hub.wrong-hash");
      hub.change.spoilt = false;
      const files = await hubFiles("owner/small", places);
      assertEquals(
        sha256((await files.read(WEIGHTS))!),
        sha256(await Deno.readFile(join(MODEL, WEIGHTS))),
      );
      assert(!hub.asked.some((line) => line.includes("bytes=")));
      hub.change.noHash = true;
      assertEquals(await codeOf("owner/small", "tokenizer.json", places), "hub.download");
    });
  });
});

Deno.test("models that are not there or not for everybody, and revisions that are not, are named errors", async () => {
  await withFolder(async (cache) => {
    await withHub(async ({ endpoint }) => {
      for (const name of ["owner/nobody", "owner/closed", "owner/small@none"]) {
        assertEquals(await codeOf(name, "config.json", { cache, endpoint }), "hub.download", name);
      }
    });
  });
  assertEquals(
    (await assertRejects(() => hubFiles("a/b/c", { cache: "" }), FairlError)).code,
    "hub.download",
  );
  const names = ["a/b", "a-1/b.c@main", "a/b@refs/pr/1", "./a", "a", "a/b/c", "../a/b", "a/.."];
  assertEquals(names.map(isHubName), [true, true, true, false, false, false, false, false]);
});

Deno.test("a mirror folder is asked before the hub", async () => {
  await withFolder(async (mirror) => {
    await Deno.mkdir(join(mirror, "owner", "small"), { recursive: true });
    await Deno.writeTextFile(join(mirror, "owner", "small", "a.txt"), "here");
    const files = await hubFiles("owner/small", {
      mirror,
      cache: join(mirror, "cache"),
      endpoint: "http://127.0.0.1:9",
    });
    assertEquals(new TextDecoder().decode(await files.read("a.txt")), "here");
    assertEquals([await files.read("b.txt"), files.title], [undefined, "owner/small"]);
  });
});

Deno.test("a command finds a model by its hub name where HF_ENDPOINT says the hub is", async () => {
  await withFolder(async (folder) => {
    await withHub(async ({ endpoint, asked }) => {
      await withEnvironment(
        { HF_ENDPOINT: endpoint, FAIRL_CACHE: folder, FAIRL_MIRROR: undefined },
        async () => {
          const { name, config } = await openModel("owner/small");
          assertEquals([name, config.vocabulary], ["owner/small", 4096]);
          const error = await assertRejects(() => openModel("owner/small/none.gguf"), FairlError);
          assertEquals(error.code, "cli.model");
        },
      );
      assert(asked.length >= 6);
    });
  });
});

async function withEnvironment(
  variables: Record<string, string | undefined>,
  use: () => Promise<void>,
): Promise<void> {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  const set = (name: string, value: string | undefined) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  try {
    for (const [name, value] of Object.entries(variables)) set(name, value);
    await use();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}
