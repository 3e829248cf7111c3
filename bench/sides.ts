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
