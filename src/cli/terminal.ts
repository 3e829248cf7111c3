/** What a person or a pipe sees: progress, lines, errors. The only file that prints. */
import cliProgress from "cli-progress";
import { FairlError, messageOf, type Progress } from "../base/mod.ts";

/** Prints a result. With `--json` this is one document and nothing else. */
export function print(text: string): void {
  writeAll(Deno.stdout, text.endsWith("\n") ? text : `${text}\n`);
}

/** Prints a line beside the result: progress, warnings, errors. */
export function note(text: string): void {
  writeAll(Deno.stderr, `${text}\n`);
}

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

/** Progress on stderr: a bar with rate and time left on a terminal, plain lines elsewhere. */
export function terminalProgress(): Progress {
  return Deno.stderr.isTerminal() ? new BarProgress() : new LineProgress();
}

class BarProgress implements Progress {
  #bar: InstanceType<typeof cliProgress.SingleBar> | undefined;
  #unit = "";

  start(stage: string, total: number, unit: string): void {
    this.end();
    this.#unit = unit;
    this.#bar = new cliProgress.SingleBar({
      format: `${stage} {bar} {value}/{total} ${unit} · {rate} · {eta_formatted} left {note}`,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 24,
      hideCursor: true,
      clearOnComplete: false,
      gracefulExit: false,
      etaBuffer: 50,
    });
    this.#started = performance.now();
    this.#bar.start(total, 0, { rate: "", note: "" });
  }

  update(done: number, note = ""): void {
    const rate = `${
      (done / (performance.now() - this.#started) * 1000).toFixed(0)
    } ${this.#unit}/s`;
    this.#bar?.update(done, { rate, note });
  }

  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  log(line: string): void {
    note(line);
  }

  #started = 0;
}

/** Milliseconds between two lines of one stage. */
const LINE_EVERY = 10_000;

class LineProgress implements Progress {
  #stage = "";
  #unit = "";
  #total = 0;
  #done = 0;
  #started = 0;
  #printed = 0;

  start(stage: string, total: number, unit: string): void {
    [this.#stage, this.#total, this.#unit, this.#done] = [stage, total, unit, 0];
    this.#started = this.#printed = performance.now();
    note(`${stage}: ${total} ${unit}`);
  }

  update(done: number): void {
    this.#done = done;
    const now = performance.now();
    if (now - this.#printed < LINE_EVERY) return;
    this.#printed = now;
    const rate = done / (now - this.#started) * 1000;
    const left = (this.#total - done) / rate;
    note(
      `${this.#stage}: ${done}/${this.#total} ${this.#unit}, ${perSecond(rate)}/s, ${
        left.toFixed(0)
      } s left`,
    );
  }

  end(): void {
    const seconds = (performance.now() - this.#started) / 1000;
    note(`${this.#stage}: ${this.#done} ${this.#unit} in ${seconds.toFixed(1)} s`);
  }

  log(line: string): void {
    note(line);
  }
}

function perSecond(rate: number): string {
  return rate.toFixed(rate < 10 ? 1 : 0);
}

/** Exit status of a command that was given bad input. */
const BAD_INPUT = 2;
/** Exit status of a command that failed through a defect of ours. */
const DEFECT = 70;
/** Exit status after Ctrl-C, as shells have it. */
const INTERRUPTED = 130;

/**
 * Turns whatever a command threw into one line and an exit status.
 *
 * @returns 2 for bad input, 130 after Ctrl-C, 70 for a defect
 */
export function report(thrown: unknown): number {
  if (thrown instanceof FairlError) {
    note(`fairl: ${thrown.code}: ${thrown.message}`);
    return BAD_INPUT;
  }
  if (thrown instanceof Deno.errors.NotCapable) {
    note(`fairl: cli.permission: ${thrown.message.split("\n")[0]}`);
    return BAD_INPUT;
  }
  if (isFull(thrown)) {
    note("fairl: cli.disk-full: The disk is full; nothing was replaced");
    return BAD_INPUT;
  }
  if (thrown instanceof DOMException && thrown.name === "AbortError") {
    note("fairl: stopped; what was finished is kept (--resume goes on)");
    return INTERRUPTED;
  }
  note(`fairl: internal: ${messageOf(thrown).split("\n")[0]} (FAIRL_DEBUG=1 shows where)`);
  if (debugging() && thrown instanceof Error) note(thrown.stack ?? "");
  return DEFECT;
}

function isFull(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "ENOSPC";
}

function debugging(): boolean {
  const query = { name: "env", variable: "FAIRL_DEBUG" } as const;
  return Deno.permissions.querySync(query).state === "granted" && !!Deno.env.get("FAIRL_DEBUG");
}
