/** Kills a command at random moments and lets it go on. */
import { assert, assertEquals } from "@std/assert";
import { basename, join } from "@std/path";
import { Random } from "../../src/base/mod.ts";
import { fairl, namesIn, outcomeOf, start } from "./process.ts";

/** How many kills; `FAIRL_KILLS=20` tries more moments. */
export const KILLS = Number(Deno.env.get("FAIRL_KILLS") ?? 3);

/** What is killed. */
interface Victim {
  /** The command that writes to `out`. */
  args(out: string): string[];
  /** What it leaves, without what differs from run to run. */
  result(out: string): Promise<unknown>;
  /** Whether a killed run has left something to go on from. */
  kept(out: string): Promise<boolean>;
}

/**
 * Runs a command undisturbed, then kills it at one moment in each of equally long stretches of that
 * time and resumes it: the same bytes have to come out, and nothing beside them.
 *
 * @returns how many of the killed runs had left something to go on from
 */
export async function survivesKills(
  folder: string,
  { args, result, kept }: Victim,
  kills = KILLS,
): Promise<number> {
  const undisturbed = join(folder, "undisturbed");
  const from = performance.now();
  const { code, stderr } = await fairl(folder, ...args(undisturbed));
  assertEquals(code, 0, stderr);
  const took = performance.now() - from;
  const whole = await result(undisturbed);
  const random = new Random(0, "kills");
  let found = 0;
  for (let kill = 0; kill < kills; kill++) {
    const out = join(folder, `killed-${kill}`);
    const process = start(folder, ...args(out));
    // In the last stretch the result may already be in its place, and is then whole.
    const moment = took * (kill + random.uniform()) / kills;
    const timer = setTimeout(() => killIfRunning(process), moment);
    const killed = await outcomeOf(process);
    clearTimeout(timer);
    assert(killed.code === 0 || killed.signal === "SIGKILL", killed.stderr);
    if (await kept(out).catch(() => false)) found++;

    const resumed = await fairl(folder, ...args(out), "--resume");
    assertEquals(resumed.code, 0, resumed.stderr);
    assertEquals(await result(out), whole, `killed after ${moment.toFixed(0)} ms`);
    const left = (await namesIn(folder)).filter((name) =>
      name.startsWith(`${basename(out)}.`) && name !== basename(out)
    );
    assertEquals(left, []);
  }
  return found;
}

/** Kills a process that may have ended just now. */
function killIfRunning(process: Deno.ChildProcess): void {
  try {
    process.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
  }
}
