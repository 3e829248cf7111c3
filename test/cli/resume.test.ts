/** A run that is killed or interrupted at any moment goes on with --resume to the same bytes. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { fairl, namesIn, outcomeOf, start, withFolder } from "./process.ts";
import { KILLS, survivesKills } from "./kills.ts";

const RUN = [
  "train",
  ...["--pairs", "synthetic", "--world-inputs", "features", "--world-prompts", "60"],
  ...["--device", "wasm", "--reference", "none"],
];

/** The model, and the card without the time that it was made. */
async function artefactIn(folder: string): Promise<[Uint8Array, string]> {
  const card = await Deno.readTextFile(join(folder, "card.json"));
  return [
    await Deno.readFile(join(folder, "reward.onnx")),
    card.replace(/"created": ".*"/, ""),
  ];
}

/** Runs without a disturbance. */
async function undisturbed(folder: string): Promise<[Uint8Array, string]> {
  const out = join(folder, "undisturbed");
  const { code, stderr } = await fairl(folder, ...RUN, "--out", out);
  assertEquals(code, 0, stderr);
  return await artefactIn(out);
}

Deno.test(`train goes on after SIGKILL at ${KILLS} random moments, to the undisturbed bytes`, async () => {
  await withFolder(async (folder) => {
    const kept = await survivesKills(folder, {
      args: (out) => [...RUN, "--out", out],
      result: artefactIn,
      kept: async (out) =>
        (await namesIn(`${out}.unfinished`)).some((name) => name.endsWith(".stage")),
    });
    assert(kept > 0, "some kill has to come after a finished stage");
  });
});

Deno.test("SIGINT ends a run within a second with 130, and --resume finishes it", async () => {
  await withFolder(async (folder) => {
    const whole = await undisturbed(folder);
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
