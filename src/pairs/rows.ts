/** The rows of a file, whatever its format: JSONL, CSV, TSV, Parquet, the first three also gzipped. */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { PassThrough, Readable } from "node:stream";
import { FairlError, messageOf } from "../base/mod.ts";
import { type Line, linesOf, MAX_LINE_BYTES } from "./lines.ts";
import { parquetRows } from "./parquet.ts";

/** The formats that are read. */
export const PAIR_FORMATS = ["jsonl", "csv", "tsv", "parquet"] as const;

/** One of {@linkcode PAIR_FORMATS}. */
export type PairFormat = typeof PAIR_FORMATS[number];

/** A row, and the line (in Parquet the row number) it began on, from 1. */
export interface Row {
  /** The line or row number, from 1. */
  readonly line: number;
  /** The row by column name; in CSV and TSV every value is a text. */
  readonly values: Record<string, unknown>;
}

/** Something that is wrong with one row. */
export interface RowProblem {
  /** The line or row number, from 1. */
  readonly line: number;
  /** A stable code, such as `pairs.bad-json`. */
  readonly code: string;
  /** One plain sentence. */
  readonly message: string;
}

/** How a file is read. */
export interface ReadOptions {
  /** Whether a bad row ends the reading with an error, or is left out. Default: "stop". */
  readonly onError?: "stop" | "skip";
  /** Hears of every row that is left out. */
  readonly onProblem?: (problem: RowProblem) => void;
  /** The format; default: what the name ends in, JSONL for standard input. */
  readonly format?: PairFormat;
}

const EXTENSIONS: Record<string, PairFormat> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
};

/**
 * Streams the rows of a file, so that its size does not matter. Blank lines are passed over.
 *
 * @param path A file, or "-" for standard input
 * @throws FairlError `pairs.not-found`, `pairs.unreadable`, `pairs.unknown-format`,
 * `pairs.bad-gzip`, `pairs.bad-parquet`, `pairs.empty`; with `onError: "stop"` also the code of
 * the first bad row: `pairs.bad-json`, `pairs.bad-csv`, `pairs.bad-utf8`, `pairs.long-line`
 *
 * @example Texts to score, from a CSV file with a column "text"
 * ```ts
 * import { assert } from "@std/assert";
 * import { readRows } from "./rows.ts";
 * const path = await Deno.makeTempFile({ suffix: ".csv" });
 * await Deno.writeTextFile(path, 'text,source\n"one, two",a\nthree,b\n');
 * const texts = [];
 * for await (const row of readRows(path)) texts.push(row.values.text);
 * assert(texts.join("|") === "one, two|three");
 * await Deno.remove(path);
 * ```
 */
export async function* readRows(path: string, options: ReadOptions = {}): AsyncGenerator<Row> {
  const name = path === "-" ? "standard input" : path;
  const { format, gzipped } = formatOf(path, options.format);
  const report = reporter(name, options);
  let rows = 0;
  let problems = 0;
  const count = (problem: RowProblem) => {
    problems++;
    report(problem);
  };
  if (path !== "-") await checkFile(path);
  const source = format === "parquet"
    ? parquetRows(path)
    : format === "jsonl"
    ? jsonRows(linesOf(bytesOf(path, gzipped)), count)
    : tableRows(linesOf(bytesOf(path, gzipped)), format === "csv" ? "," : "\t", name, count);
  for await (const row of source) {
    rows++;
    yield row;
  }
  if (rows + problems === 0) throw new FairlError("pairs.empty", `${name} has no row in it`);
}

/** Ends the reading at the first bad row, or tells of it and lets the reading go on. */
export function reporter(name: string, options: ReadOptions): (problem: RowProblem) => void {
  return (problem) => {
    if (options.onError !== "skip") {
      throw new FairlError(problem.code, `${name}:${problem.line}: ${problem.message}`);
    }
    options.onProblem?.(problem);
  };
}

function formatOf(
  path: string,
  given: PairFormat | undefined,
): { format: PairFormat; gzipped: boolean } {
  if (path === "-") {
    if (given === "parquet") {
      throw new FairlError(
        "pairs.unknown-format",
        "Parquet is read from its end, so it cannot come from standard input: name the file",
      );
    }
    return { format: given ?? "jsonl", gzipped: false };
  }
  const gzipped = path.endsWith(".gz");
  const extension = (gzipped ? path.slice(0, -3) : path).split(".").at(-1)!.toLowerCase();
  const format = given ?? EXTENSIONS[extension];
  if (format === undefined || (gzipped && format === "parquet")) {
    throw new FairlError(
      "pairs.unknown-format",
      `${path} is not .jsonl, .csv or .tsv (each also with .gz) or .parquet; ` +
        `a JSON array has to be written as JSONL, one object a line`,
    );
  }
  return { format, gzipped };
}

async function checkFile(path: string): Promise<void> {
  let info;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new FairlError("pairs.not-found", `there is no file ${path}`, { cause });
    }
    throw new FairlError("pairs.unreadable", `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  if (!info.isFile) throw new FairlError("pairs.unreadable", `${path} is not a file`);
}

async function* bytesOf(path: string, gzipped: boolean): AsyncGenerator<Uint8Array> {
  if (path === "-") {
    yield* Deno.stdin.readable;
    return;
  }
  const file = createReadStream(path, { highWaterMark: 1 << 18 });
  if (!gzipped) {
    yield* readable(path, file);
    return;
  }
  // node:zlib, because DecompressionStream refuses the files of several members that pigz writes.
  const { createGunzip } = await import("node:zlib");
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  const out = new PassThrough();
  const done = pipeline(file, gunzip, out).catch(() => {});
  try {
    yield* readable(path, out);
  } finally {
    file.destroy();
    await done;
  }
}

async function* readable(path: string, stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? "";
    if (code.startsWith("Z_")) {
      throw new FairlError("pairs.bad-gzip", `${path} is not a whole gzip file`, { cause });
    }
    throw new FairlError("pairs.unreadable", `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

const PROBLEMS = {
  "pairs.bad-utf8": "the line is not UTF-8",
  "pairs.long-line": `the line is longer than ${MAX_LINE_BYTES >> 20} MiB`,
} as const;

async function* jsonRows(
  batches: AsyncIterable<Line[]>,
  report: (problem: RowProblem) => void,
): AsyncGenerator<Row> {
  for await (const batch of batches) {
    for (const line of batch) {
      const { number } = line;
      if ("problem" in line) {
        report({ line: number, code: line.problem, message: PROBLEMS[line.problem] });
        continue;
      }
      if (line.text.trim() === "") continue;
      let values;
      try {
        values = JSON.parse(line.text);
      } catch (error) {
        const message = `the line is not JSON (${messageOf(error).slice(0, 100)})`;
        report({ line: number, code: "pairs.bad-json", message });
        continue;
      }
      if (typeof values !== "object" || values === null || Array.isArray(values)) {
        report({ line: number, code: "pairs.bad-json", message: "the line is not a JSON object" });
        continue;
      }
      yield { line: number, values };
    }
  }
}

/**
 * CSV and TSV: a record goes on while its quotes are odd in number. Where it has no end, the
 * line it began on is the bad one, and reading goes on with the next.
 */
async function* tableRows(
  batches: AsyncIterable<Line[]>,
  separator: string,
  name: string,
  report: (problem: RowProblem) => void,
): AsyncGenerator<Row> {
  const { parse } = await import("@std/csv");
  const bad = (line: number, message: string) => report({ line, code: "pairs.bad-csv", message });
  let header: string[] | undefined;

  function rowOf(text: string, line: number): Row | undefined {
    const records = parse(text, { separator, lazyQuotes: true }) as string[][];
    const fields = records[0]!;
    if (records.length !== 1) {
      bad(line, "a quote has no partner");
    } else if (header === undefined) {
      if (new Set(fields).size < fields.length) {
        throw new FairlError("pairs.bad-csv", `${name}:${line}: two columns have one name`);
      }
      header = fields;
    } else if (fields.length !== header.length) {
      bad(line, `${fields.length} fields where the header has ${header.length}`);
    } else {
      return { line, values: Object.fromEntries(header.map((key, at) => [key, fields[at]])) };
    }
  }

  // The lines of a record whose quotes are still open.
  let open: { number: number; text: string }[] = [];
  let length = 0;
  let quoted = false;
  function* accept(lines: Line[]): Generator<Row> {
    for (const line of lines) {
      if ("problem" in line) {
        yield* abandon();
        report({ line: line.number, code: line.problem, message: PROBLEMS[line.problem] });
        continue;
      }
      if (!quoted && line.text.trim() === "") continue;
      open.push(line);
      length += line.text.length;
      if (odd(line.text)) quoted = !quoted;
      if (!quoted) {
        const record = close();
        const row = rowOf(record.map((part) => part.text).join("\n"), record[0]!.number);
        if (row !== undefined) yield row;
      } else if (length > MAX_LINE_BYTES) {
        yield* abandon();
      }
    }
  }
  function* abandon(): Generator<Row> {
    const [first, ...rest] = close();
    if (first === undefined) return;
    bad(first.number, "a quote has no partner");
    // What was taken for the inside of a field may well be records.
    yield* accept(rest);
  }
  function close(): { number: number; text: string }[] {
    const lines = open;
    open = [];
    length = 0;
    quoted = false;
    return lines;
  }
  for await (const batch of batches) yield* accept(batch);
  yield* abandon();
}

function odd(text: string): boolean {
  let is = false;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) is = !is;
  return is;
}
