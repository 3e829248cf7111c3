/** The house rules that a compiler does not check: which room may import which, and how. */
import { assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join, normalize, relative } from "@std/path";

const ROOT = join(dirname(fromFileUrl(import.meta.url)), "..", "..");

/** What each room may import. Nothing below knows anything above (CONTRIBUTING.md). */
const MAY_IMPORT: Record<string, readonly string[]> = {
  base: [],
  hub: ["base"],
  runtime: ["base"],
  graph: ["runtime", "base"],
  metrics: ["base"],
  starc: ["metrics", "base"],
  pairs: ["hub", "base"],
  encode: ["hub", "graph", "runtime", "base"],
  lm: ["hub", "graph", "runtime", "base"],
  reward: ["encode", "pairs", "starc", "metrics", "graph", "runtime", "base"],
  rlhf: ["lm", "pairs", "graph", "runtime", "base"],
  irl: ["reward", "encode", "pairs", "starc", "metrics", "graph", "runtime", "base"],
  report: ["irl", "reward", "encode", "pairs", "starc", "metrics", "graph", "runtime", "base"],
};

/** Packages that a single room may name. */
const OWNED: [name: RegExp, room: string][] = [
  [/^onnxruntime/, "runtime"],
  [/^@huggingface\/transformers/, "encode"],
  [/^@huggingface\/gguf/, "hub"],
  [/^commander|^cli-progress/, "cli"],
  [/^echarts/, "report"],
];

interface Import {
  readonly from: string;
  readonly to: string;
}

function* sources(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* sources(path);
    else if (entry.name.endsWith(".ts")) yield path;
  }
}

function imports(): Import[] {
  const found: Import[] = [];
  for (const path of sources(join(ROOT, "src"))) {
    // Docstring examples import too; a reader of the library may, a room may not.
    const code = Deno.readTextFileSync(path).replaceAll(/\/\*\*[\s\S]*?\*\//g, "");
    for (const match of code.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)) {
      const to = match[1]!.startsWith(".")
        ? relative(ROOT, normalize(join(dirname(path), match[1]!)))
        : match[1]!;
      found.push({ from: relative(ROOT, path), to });
    }
  }
  return found;
}

/** The room of a path under src/; the command line (src/cli.ts and src/cli/) is one. */
function roomOf(path: string): string | undefined {
  return /^src\/(\w+)/.exec(path)?.[1];
}

Deno.test("rooms import only what lies below them", () => {
  const wrong = imports().filter(({ from, to }) => {
    const [room, target] = [roomOf(from)!, roomOf(to)];
    if (!target || target === room || room === "cli") return false;
    return !MAY_IMPORT[room]?.includes(target);
  });
  assertEquals(wrong, []);
});

Deno.test("rooms import each other through mod.ts alone", () => {
  const wrong = imports().filter(({ from, to }) => {
    const target = roomOf(to);
    return target && target !== roomOf(from) && !to.endsWith("/mod.ts");
  });
  assertEquals(wrong, []);
});

Deno.test("each outside package with an owner is named in its room alone", () => {
  const wrong = imports().filter(({ from, to }) =>
    OWNED.some(([name, room]) => name.test(to) && roomOf(from) !== room)
  );
  assertEquals(wrong, []);
});

Deno.test("no two rooms import each other", () => {
  for (const [room, targets] of Object.entries(MAY_IMPORT)) {
    for (const target of targets) {
      assertEquals(MAY_IMPORT[target]!.includes(room), false, `${room} and ${target}`);
    }
  }
});
