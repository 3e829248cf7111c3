/** Flags that several commands share, checked before anything runs. */
import type { Command } from "commander";
import { z } from "zod";
import { FairlError } from "../base/mod.ts";
import { DEVICE_REQUESTS } from "../runtime/mod.ts";

/** Devices that `--device` takes. */
export const deviceFlag = z.enum(DEVICE_REQUESTS);
/** A whole number from 0, written in digits. */
export const countFlag = z.string().regex(/^\d+$/, "a whole number is needed").transform(Number)
  .pipe(z.number().int().max(2 ** 31 - 1));
/** A number above 0. */
export const positiveFlag = z.coerce.number({ error: "a number above 0 is needed" }).positive(
  "a number above 0 is needed",
);
/** A share between 0 and 1. */
export const shareFlag = z.coerce.number().min(0).max(1);

/** The flags of every command that encodes texts. */
export const encodingFlags = {
  device: deviceFlag,
  encoder: z.string().min(1).optional(),
  json: z.boolean().default(false),
};

/** Adds `--device`, `--encoder` and `--json` to a command. */
export function withEncodingFlags(command: Command): Command {
  return withDevice(command)
    .option("--encoder <name>", "use-lite, use-lite-int8, a hub name or a folder")
    .option("--json", "print one JSON document and nothing else");
}

/** Adds `--device` to a command. */
export function withDevice(command: Command): Command {
  return command.option(
    "--device <device>",
    `where to compute: ${DEVICE_REQUESTS.join(", ")}`,
    "auto",
  );
}

/**
 * Checks flags against their schema.
 *
 * @throws FairlError `cli.flag` naming the flag and what it takes
 */
export function checked<T extends z.ZodType>(schema: T, values: unknown): z.infer<T> {
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const flag = String(path[0] ?? "").replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new FairlError("cli.flag", `--${flag}: ${message.replace(/^Invalid/, "invalid")}`);
}

/** Adds `--base` and `--aligned` to a command. */
export function withModels(command: Command): Command {
  return command
    .option("--base <model>", "the model before alignment", "comments-base")
    .option("--aligned <model>", "the model after it", "comments-aligned");
}

/** The folder for downloads and features: `FAIRL_CACHE`, else `fairl` in the user's cache folder. */
export { defaultCache as cacheFolder } from "../pairs/mod.ts";

/** Aborts on Ctrl-C or SIGTERM while `work` runs. A second Ctrl-C ends the process at once. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) Deno.exit(130);
    controller.abort(new DOMException("stopped", "AbortError"));
  };
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, stop);
  }
}
