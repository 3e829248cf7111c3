/** A run that is killed or interrupted at any moment goes on with --resume to the same bytes. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Random } from "../../src/base/mod.ts";
import { fairl, namesIn, outcomeOf, start, withFolder } from "./process.ts";

const RUN = [
  "train",
  ...["--pairs", "synthetic", "--world-inputs", "features", "--world-prompts", "60"],
  ...["--device", "wasm", "--reference", "none"],
];

/** How many kills; `FAIRL_KILLS=20` tries more moments. */
const KILLS = Number(Deno.env.get("FAIRL_KILLS") ?? 3);

/** The model, and the card without the time that it was made. */
async function artefactIn(folder: string): Promise<[Uint8Array, string]> {
  const card = await Deno.readTextFile(join(folder, "card.json"));
  return [
    await Deno.readFile(join(folder, "reward.onnx")),
    card.replace(/"created": ".*"/, ""),
  ];
}

/** Kills a process that may have ended just now. */
function killIfRunning(process: Deno.ChildProcess): void {
  try {
    process.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Runs without a disturbance, and says how long that took in milliseconds. */
async function undisturbed(folder: string): Promise<{ whole: [Uint8Array, string]; took: number }> {
  const out = join(folder, "undisturbed");
  const from = performance.now();
  const { code, stderr } = await fairl(folder, ...RUN, "--out", out);
  assertEquals(code, 0, stderr);
  return { whole: await artefactIn(out), took: performance.now() - from };
}

Deno.test(`after SIGKILL at ${KILLS} random moments --resume gives the undisturbed bytes`, async () => {
  await withFolder(async (folder) => {
    const { whole, took } = await undisturbed(folder);
    const random = new Random(0, "kills");
    let kept = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const out = join(folder, `killed-${kill}`);
      const process = start(folder, ...RUN, "--out", out);
      // One moment in each of equally long stretches of the run; in the last one the artefact may
      // already be in its place, and is then whole.
      const moment = took * (kill + random.uniform()) / KILLS;
      const timer = setTimeout(() => killIfRunning(process), moment);
      const killed = await outcomeOf(process);
      clearTimeout(timer);
      assert(killed.code === 0 || killed.signal === "SIGKILL", killed.stderr);
      const unfinished = await namesIn(`${out}.unfinished`).catch(() => []);
      if (unfinished.some((name) => name.endsWith(".stage"))) kept++;

      const resumed = await fairl(folder, ...RUN, "--out", out, "--resume");
      assertEquals(resumed.code, 0, resumed.stderr);
      assertEquals(await artefactIn(out), whole, `killed after ${moment.toFixed(0)} ms`);
      assert(!(await namesIn(folder)).includes(`killed-${kill}.unfinished`));
    }
    assert(kept > 0, "some kill has to come after a finished stage");
  });
});

Deno.test("SIGINT ends a run within a second with 130, and --resume finishes it", async () => {
  await withFolder(async (folder) => {
    const { whole } = await undisturbed(folder);
    const out = join(folder, "interrupted");
    const process = start(folder, ...RUN, "--out", out);
    // The first stage that is kept is in the middle of the training.
    while ((await namesIn(`${out}.unfinished`).catch(() => [])).length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const from = performance.now();
    process.kill("SIGINT");
    const { code, stdout, stderr } = await outcomeOf(process);
    const took = performance.now() - from;
    assertEquals([code, stdout], [130, ""], stderr);
    assert(stderr.includes("--resume"), stderr);
    assert(took < 1000, `it took ${took.toFixed(0)} ms to stop`);
    assertEquals((await namesIn(folder)).includes("interrupted"), false);

    const resumed = await fairl(folder, ...RUN, "--out", out, "--resume");
    assertEquals(resumed.code, 0, resumed.stderr);
    assertEquals(await artefactIn(out), whole);
  });
});
