/** Saves artefacts over one another until it is killed: `deno run saver.ts FOLDER`. */
import { saveArtefact } from "../../src/reward/mod.ts";
import { exampleParts } from "./example.ts";
import { randomHead } from "./heads.ts";

const folder = Deno.args[0]!;
for (let seed = 1;; seed++) {
  const parts = exampleParts(randomHead(seed, 64, 64));
  await saveArtefact(folder, { ...parts, card: { ...parts.card, seed } });
  if (seed === 1) Deno.stdout.writeSync(new TextEncoder().encode("saved\n"));
}
