/** `fairl score`: texts in, the same plus reward, probability and quantile out, as a stream. */
import { stringify } from "@std/csv";
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { readRows } from "../pairs/mod.ts";
import { TextReward } from "../reward/mod.ts";
import { cacheFolder, checked, encodingFlags, interruptible } from "./options.ts";
import { print } from "./terminal.ts";

const schema = z.object({ ...encodingFlags, column: z.string().min(1) });

/** Texts that go through the encoder together. */
const CHUNK = 512;

/** A row of the input: its columns, and the text among them. */
interface Item {
  readonly values: Record<string, unknown>;
  readonly text: string;
}

/** How rows are read and written back. */
type Format = "lines" | "jsonl" | "csv" | "tsv";

/**
 * Runs the command. The output has the input's form: JSONL and tables get three columns more, plain
 * lines become JSONL.
 */
export async function score(artefact: string, file = "-", values: unknown): Promise<void> {
  const flags = checked(schema, values);
  const format = formatOf(file);
  await interruptible(async (signal) => {
    await using reward = await TextReward.open(artefact, {
      device: flags.device,
      cache: cacheFolder(),
    });
    const scored: object[] = [];
    let first = true;
    for await (const items of chunks(itemsOf(file, format, flags.column))) {
      const scores = await reward.score(items.map(({ text }) => text), { signal });
      const rows = items.map((item, at) => ({
        ...item.values,
        reward: round(scores.reward[at]!),
        probability: round(scores.probability[at]!),
        quantile: round(scores.quantile[at]!),
      }));
      if (flags.json) scored.push(...rows);
      else print(written(rows, format, first));
      first = false;
    }
    if (flags.json) print(JSON.stringify(scored));
  });
}

function formatOf(file: string): Format {
  const ending = /\.(jsonl|ndjson|csv|tsv)(\.gz)?$/.exec(file)?.[1];
  return ending === "ndjson" ? "jsonl" : (ending as Format | undefined) ?? "lines";
}

async function* itemsOf(file: string, format: Format, column: string): AsyncGenerator<Item> {
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

async function* chunks(items: AsyncIterable<Item>): AsyncGenerator<Item[]> {
  let chunk: Item[] = [];
  for await (const item of items) {
    chunk.push(item);
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

function written(rows: Record<string, unknown>[], format: Format, head: boolean): string {
  if (format === "lines" || format === "jsonl") {
    return rows.map((row) => JSON.stringify(row)).join("\n");
  }
  return stringify(rows, {
    columns: Object.keys(rows[0]!),
    headers: head,
    separator: format === "tsv" ? "\t" : ",",
  });
}

function round(value: number): number {
  return Number(value.toPrecision(6));
}
