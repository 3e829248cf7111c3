/**
 * A million pairs streamed as `fairl pairs FILE` does: pairs a second and the largest resident
 * memory, for JSONL, CSV and Parquet, each in a process of its own.
 *
 *     deno run -P=bench bench/pairs.ts [pairs]
 */
import { inspectStream } from "../src/pairs/mod.ts";

/** The most that a million pairs may hold, in MB. */
const BAR = 1500;

/** A pair of about 230 characters a side, unlike all others. */
function pairAt(at: number): Record<"prompt" | "chosen" | "rejected", string> {
  const words = (salt: number) =>
    Array.from({ length: 36 }, (_, word) => (Math.imul(at * 36 + word, salt) >>> 0).toString(36))
      .join(" ");
  return { prompt: `question ${at}`, chosen: words(2654435761), rejected: words(2246822519) };
}

function* pairs(count: number) {
  for (let at = 0; at < count; at++) yield pairAt(at);
}

async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  const encoder = new TextEncoder();
  let text = "";
  const flush = async () => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    text = "";
  };
  for (const line of lines) {
    text += line + "\n";
    if (text.length > 1 << 20) await flush();
  }
  await flush();
}

function* table(count: number): Generator<string> {
  yield "prompt,chosen,rejected";
  for (const { prompt, chosen, rejected } of pairs(count)) {
    yield `${prompt},"${chosen}",${rejected}`;
  }
}

async function writeParquet(path: string, count: number): Promise<void> {
  const { fileWriter, parquetWriteRows } = await import("hyparquet-writer");
  await parquetWriteRows({
    writer: fileWriter(path),
    rows: pairs(count),
    columns: ["prompt", "chosen", "rejected"].map((name) => ({ name, type: "STRING" })),
    rowGroupSize: 10_000,
  });
}

const WRITERS: Record<string, (path: string, count: number) => void | Promise<void>> = {
  jsonl: (path, count) => writeLines(path, pairs(count).map((pair) => JSON.stringify(pair))),
  csv: (path, count) => writeLines(path, table(count)),
  parquet: writeParquet,
};

/** The largest resident set of this process so far in MB; where the system tells none, today's. */
async function peakMemory(): Promise<number> {
  if (Deno.build.os !== "linux") return Deno.memoryUsage().rss / 1e6;
  const status = await Deno.readTextFile("/proc/self/status");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024 / 1e6;
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** One measurement, printed as JSON for the process that started this one. */
async function measure(path: string): Promise<void> {
  const started = performance.now();
  const { counts, baselines } = await inspectStream(path);
  const seconds = (performance.now() - started) / 1000;
  const result = { kept: counts.kept, tested: baselines!.test, seconds, peak: await peakMemory() };
  print(JSON.stringify(result));
}

/** Writes one file for each format, measures it, and compares with the bar. */
async function main(count: number): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [format, write] of Object.entries(WRITERS)) {
      const path = `${folder}/pairs.${format}`;
      await write(path, count);
      const megabytes = (await Deno.stat(path)).size / 1e6;
      const { stdout, success } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", import.meta.filename!, "measure", path],
        stderr: "inherit",
      }).output();
      if (!success) throw new Error(`reading ${format} failed`);
      const { kept, seconds, peak } = JSON.parse(new TextDecoder().decode(stdout));
      if (kept !== count) throw new Error(`${format}: ${kept} of ${count} pairs were kept`);
      print(
        `${format.padEnd(8)} ${count} pairs, ${megabytes.toFixed(0)} MB: ` +
          `${(count / seconds).toFixed(0)} pairs/s, ${(megabytes / seconds).toFixed(0)} MB/s, ` +
          `${peak.toFixed(0)} MB resident at most (bar: ${BAR}) ${peak <= BAR ? "ok" : "MISSED"}`,
      );
      await Deno.remove(path);
      if (peak > BAR) Deno.exitCode = 1;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (Deno.args[0] === "measure") await measure(Deno.args[1]!);
else await main(Number(Deno.args[0] ?? 1_000_000));
