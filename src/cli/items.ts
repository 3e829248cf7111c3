/** Texts in, rows out: lines, JSONL, CSV and TSV as commands take and give them. */
import { stringify } from "@std/csv";
import { FairlError } from "../base/mod.ts";
import { readRows } from "../pairs/mod.ts";

/** Texts that are computed together. */
const CHUNK = 512;

/** A row of the input: its columns, and the text among them. */
export interface Item {
  readonly values: Record<string, unknown>;
  readonly text: string;
}

/** How rows are read and written back. */
export type Format = "lines" | "jsonl" | "csv" | "tsv";

/** The form of a file, by its name. */
export function formatOf(file: string): Format {
  const ending = /\.(jsonl|ndjson|csv|tsv)(\.gz)?$/.exec(file)?.[1];
  return ending === "ndjson" ? "jsonl" : (ending as Format | undefined) ?? "lines";
}

/**
 * Texts with the columns around them.
 *
 * @param file A file, or - for standard input
 * @throws FairlError `score.not-found`, `score.no-text`
 */
export async function* itemsOf(file: string, format: Format, column: string): AsyncGenerator<Item> {
  if (format === "lines") {
    for await (const line of linesOf(file)) yield itemOf(line, column);
    return;
  }
  for await (const { line, values } of readRows(file)) {
    const text = values[column];
    if (typeof text !== "string") {
      throw new FairlError("score.no-text", `${file}: line ${line} has no text in "${column}"`);
    }
    yield { values, text };
  }
}

/** A plain line is a text; one that is a JSON object has its text in a column. */
function itemOf(line: string, column: string): Item {
  if (line.startsWith("{")) {
    try {
      const values = JSON.parse(line);
      if (typeof values[column] === "string") return { values, text: values[column] };
    } catch {
      // A text may begin with a brace.
    }
  }
  return { values: { text: line }, text: line };
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let source: ReadableStream<Uint8Array<ArrayBuffer>>;
  try {
    // Opening a folder works; only reading from it fails.
    if (file !== "-" && (await Deno.stat(file)).isDirectory) {
      throw new FairlError("score.not-found", `${file} is a folder; name a file`);
    }
    source = file === "-" ? Deno.stdin.readable : (await Deno.open(file)).readable;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new FairlError("score.not-found", `There is no file ${file}`, { cause: error });
    }
    throw error;
  }
  let rest = "";
  for await (const piece of source.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield line.replace(/\r$/, "");
  }
  if (rest.trim() !== "") yield rest;
}

/** Items, some at a time. */
export async function* chunks(items: AsyncIterable<Item>): AsyncGenerator<Item[]> {
  let chunk: Item[] = [];
  for await (const item of items) {
    chunk.push(item);
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** Rows in the form of the input; lines become JSONL. */
export function written(rows: Record<string, unknown>[], format: Format, head: boolean): string {
  if (format === "lines" || format === "jsonl") {
    return rows.map((row) => JSON.stringify(row)).join("\n");
  }
  return stringify(rows, {
    columns: Object.keys(rows[0]!),
    headers: head,
    separator: format === "tsv" ? "\t" : ",",
  });
}
