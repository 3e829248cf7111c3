/** The real command line as a process of its own, and temporary folders for it. */
import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

/** The repository's root: where the permission set of deno.json is found. */
const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** What a command left behind. */
export interface Outcome {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a command; what it prints waits in pipes. Features and downloads go under `folder`. */
export function start(folder: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--lock=test/deno.lock", "-P=fairl", "--quiet", "src/cli.ts", ...args],
    cwd: ROOT,
    env: { FAIRL_CACHE: join(folder, "cache") },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits for the end of a command that reads `input`. */
export async function outcomeOf(process: Deno.ChildProcess, input = ""): Promise<Outcome> {
  // A command that refuses its flags is gone before it reads anything.
  const writing = new Blob([input]).stream().pipeTo(process.stdin).catch(() => {});
  const { code, signal, stdout, stderr } = await process.output();
  await writing;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs a command to its end. */
export function fairl(folder: string, ...args: string[]): Promise<Outcome> {
  return outcomeOf(start(folder, ...args));
}

/** Runs a command that has to succeed and to print one JSON document and nothing else. */
export async function fairlJson<T>(folder: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await fairl(folder, ...args, "--json");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^[[{].*[}\]]\n$/, "stdout holds one line, which is JSON");
  return JSON.parse(stdout);
}

/** Lends a temporary folder. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "fairl-test-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Names in a folder, in order. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}
