/** Sides of a comparison, each a process of its own; they take turns, so that a busy machine slows all alike. */
import { TextLineStream } from "@std/streams";

/** Writes a line to standard output. */
export function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** Lines out of bytes. */
export function linesOf(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): ReadableStream<string> {
  const lines: TransformStream<string, string> = new TextLineStream();
  return bytes.pipeThrough(new TextDecoderStream()).pipeThrough(lines);
}

/** Answers each line of standard input with one of JSON. */
export async function serve(answer: (line: string) => Promise<unknown>): Promise<void> {
  for await (const line of linesOf(Deno.stdin.readable)) print(JSON.stringify(await answer(line)));
}

/** A side in its process. */
export class Side implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;

  /** What it said when it was ready. */
  head = "";

  /** Starts the process. */
  constructor(
    command: string,
    args: readonly string[],
    options: { readonly quiet?: boolean } = {},
  ) {
    const stderr = options.quiet ? "null" : "inherit";
    this.#process = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr,
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process.stdout).getReader();
  }

  /** A side written for Deno, with the benches' permissions and, unless told otherwise, their lock file. */
  static deno(args: readonly string[], lock = "--lock=test/deno.lock"): Side {
    return new Side(Deno.execPath(), ["run", lock, "-P=bench", "--quiet", ...args]);
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { value } = await this.#lines.read();
    if (value === undefined) throw new Error("a side of the comparison ended early");
    return value;
  }

  /** What it answers to a line. */
  async ask<T>(line: string): Promise<T> {
    await this.#input.write(new TextEncoder().encode(line + "\n"));
    return JSON.parse(await this.line());
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#lines.cancel();
    await this.#process.status;
  }
}

/** Whether Python can import some modules here. */
export async function pythonHas(...modules: string[]): Promise<boolean> {
  try {
    const args = ["-c", `import ${modules.join(", ")}`];
    return (await new Deno.Command("python3", { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** The middle one; the upper of two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** A peer, or a line that says why there is none. */
export async function peerOf(name: string, start: () => Side): Promise<Side | undefined> {
  const side = start();
  try {
    side.head = await side.line();
    print(`  ${side.head}`);
    return side;
  } catch {
    print(`  ${name} cannot be imported here: no peer, no ratio`);
    await side[Symbol.asyncDispose]().catch(() => {});
    return undefined;
  }
}

/** A table that is printed line by line and kept as Markdown. */
export class Table {
  readonly #lines: string[] = [];

  /** @param columns Their heads */
  constructor(readonly columns: readonly string[]) {
    this.#lines.push(`| ${columns.join(" | ")} |`, `|${"---|".repeat(columns.length)}`);
    print(`  ${this.#spaced(columns)}`);
  }

  /** A line. */
  row(...cells: readonly string[]): void {
    this.#lines.push(`| ${cells.join(" | ")} |`);
    print(`  ${this.#spaced(cells)}`);
  }

  /** As Markdown. */
  get markdown(): string {
    return this.#lines.join("\n") + "\n";
  }

  #spaced(cells: readonly string[]): string {
    return cells.map((cell, at) => cell.padEnd(Math.max(this.columns[at]!.length, 26))).join(" ");
  }
}

/** A ratio against its bar; a missed one fails the bench. */
export function verdict(ratio: number, bar: number): string {
  if (ratio < bar) Deno.exitCode = 1;
  return `${ratio >= bar ? "met" : "MISSED"} (>= ${bar})`;
}
