/** An artefact at work: scoring texts, its model card's own words, and kill -9 while it is saved. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { parse as parseYaml } from "@std/yaml";
import { FairlError, Random } from "../../src/base/mod.ts";
import { openEncoder } from "../../src/encode/mod.ts";
import { GIVEN_FEATURES, loadArtefact, saveArtefact, TextReward } from "../../src/reward/mod.ts";
import { exampleParts } from "./example.ts";
import { randomHead, rewardsOf } from "./heads.ts";

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "fairl-test-" });
  try {
    await work(join(root, "artefact"));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const TEXTS = ["Have a nice day.", "Go away, you fool!", "", "The train leaves at nine."];

Deno.test("scores are the head's rewards of the encoder's features, as the card's scales have them", async () => {
  await inFolder(async (folder) => {
    const head = randomHead(5, 512, 16);
    const parts = exampleParts(head);
    await using encoder = await openEncoder("use-lite", { device: "wasm" });
    const { id, dimension } = encoder;
    const card = { ...parts.card, encoder: { name: "use-lite", id, dimension } };
    await saveArtefact(folder, { ...parts, card });

    await using reward = await TextReward.open(folder, { device: "wasm" });
    const scores = await reward.score(TEXTS);
    const expected = rewardsOf(head, await encoder.encode(TEXTS));
    const { a, b } = card.calibration.text;
    const [lowest, highest] = [card.quantiles[0]!, card.quantiles.at(-1)!];
    expected.forEach((value, row) => {
      assertAlmostEquals(scores.reward[row]!, value, 1e-5);
      assertAlmostEquals(scores.probability[row]!, 1 / (1 + Math.exp(-(a * value + b))), 1e-5);
      // The card's quantiles are even steps from its lowest to its highest.
      const share = (value - lowest) / (highest - lowest);
      assertAlmostEquals(scores.quantile[row]!, Math.min(1, Math.max(0, share)), 1e-5);
    });
    assertEquals((await reward.score([])).reward.length, 0);
    const aborted = AbortSignal.abort(new Error("enough"));
    await assertRejects(() => reward.score(TEXTS, { signal: aborted }), Error, "enough");
  });
});

Deno.test("an artefact of another encoder, or of features that are no text's, does not score texts", async () => {
  await inFolder(async (folder) => {
    const parts = exampleParts();
    for (const name of ["use-lite", GIVEN_FEATURES]) {
      const encoder = { name, id: "another one", dimension: 16 };
      await saveArtefact(folder, { ...parts, card: { ...parts.card, encoder } });
      const error = await assertRejects(() => TextReward.open(folder), FairlError);
      assertEquals(error.code, "reward.encoder");
    }
  });
});

Deno.test("the model card's front matter is YAML with the figures of the reward it holds", async () => {
  await inFolder(async (folder) => {
    const parts = exampleParts();
    await saveArtefact(folder, parts);
    const [, head] = (await Deno.readTextFile(join(folder, "README.md"))).split(/^---$/m);
    const front = parseYaml(head!) as Record<string, unknown>;
    assertEquals([front["license"], front["library_name"]], ["apache-2.0", "fairl"]);
    // deno-lint-ignore no-explicit-any -- read as a stranger reads it
    const [{ results: [{ dataset, metrics }] }] = front["model-index"] as any;
    assertEquals(dataset.name, parts.card.pairs.source);
    const values = Object.fromEntries(
      metrics.map((metric: { type: string; value: number }) => [metric.type, metric.value]),
    );
    assertEquals(values["pair_accuracy"], 0.9876);
    assertEquals(values["starc"], 0.2);
    assert(!("epic" in values), "EPIC does not apply here");
  });
});

Deno.test("the model card's table has a row for each reward, empty where a figure does not apply", async () => {
  await inFolder(async (folder) => {
    await saveArtefact(folder, exampleParts());
    const text = await Deno.readTextFile(join(folder, "README.md"));
    const cells = text.split("\n").filter((line) => line.startsWith("| "))
      .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    assertEquals(cells.map(([name]) => name), ["reward", "irl", "**fa-irl**", "length"]);
    assert(cells.every((row) => row.length === cells[0]!.length));
    const column = (figure: string) => cells.map((row) => row[cells[0]!.indexOf(figure)]);
    assertEquals(column("STARC").slice(1), [
      "0.200 (0.190 to 0.210)",
      "0.200 (0.190 to 0.210)",
      "",
    ]);
  });
});

Deno.test("the model card tells how to score texts, and says of texts what to expect, where it takes texts", async () => {
  await inFolder(async (folder) => {
    const { card, ...parts } = exampleParts();
    for (const name of ["use-lite", GIVEN_FEATURES]) {
      const encoder = { ...card.encoder, name };
      await saveArtefact(folder, { ...parts, card: { ...card, encoder } });
      const text = await Deno.readTextFile(join(folder, "README.md"));
      for (const words of ["deno task score", "may be offensive"]) {
        assertEquals(text.includes(words), name !== GIVEN_FEATURES, words);
      }
    }
  });
});

async function python(program: string, cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", program],
    cwd,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(text(stderr));
  return text(stdout);
}

Deno.test({
  name: "the Python in the model card runs in the artefact's folder and prints its scores",
  ignore: !await python("import numpy, onnxruntime", ".").then(() => true, () => false),
  async fn() {
    await inFolder(async (folder) => {
      const head = randomHead(6, 16, 8);
      const parts = exampleParts(head);
      await saveArtefact(folder, parts);
      const text = await Deno.readTextFile(join(folder, "README.md"));
      const program = /```python\n([\s\S]*?)```/.exec(text)![1]!;
      const printed = (await python(program, folder)).match(/-?[\d.]+(?:e-?\d+)?/g)!.map(Number);
      const [reward] = rewardsOf(head, new Float32Array(16));
      const { a, b } = parts.card.calibration.text;
      assertAlmostEquals(printed[0]!, reward!, 1e-5);
      assertAlmostEquals(printed[1]!, 1 / (1 + Math.exp(-(a * reward! + b))), 1e-5);
    });
  },
});

Deno.test("a limit that the bootstrap has not is null in the card", async () => {
  await inFolder(async (folder) => {
    const parts = exampleParts();
    const unknown = { value: 0.5, low: NaN, high: NaN, n: 1 };
    const irl = { ...parts.card.metrics["irl"]!, rocAuc: unknown };
    await saveArtefact(folder, { ...parts, card: { ...parts.card, metrics: { irl } } });
    const { card } = await loadArtefact(folder);
    assertEquals(card.metrics["irl"]!.rocAuc, { ...unknown, low: null, high: null });
  });
});

Deno.test("a card that is none is not written, and the artefact that was there stays", async () => {
  await inFolder(async (folder) => {
    const parts = exampleParts();
    await saveArtefact(folder, parts);
    const card = { ...parts.card, quantiles: [0] };
    await assertRejects(() => saveArtefact(folder, { ...parts, card }));
    assertEquals((await loadArtefact(folder)).card.quantiles, parts.card.quantiles);
  });
});

Deno.test("kill -9 while artefacts are saved over one another leaves a whole one", async () => {
  const random = new Random(0, "kill");
  for (let round = 0; round < 8; round++) {
    await inFolder(async (folder) => {
      await using child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", fromFileUrl(import.meta.resolve("./saver.ts")), folder],
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
      await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
      await new Promise((resume) => setTimeout(resume, random.integer(200)));
      child.kill("SIGKILL");
      await child.status;
      // A folder cannot be exchanged in one step: between two renames the old one lies beside.
      const whole = await Deno.stat(folder).then(() => folder, () => setAside(folder));
      const { card, model } = await loadArtefact(whole);
      assertEquals(model, exampleParts(randomHead(card.seed, 64, 64)).model);
    });
  }
});

async function setAside(folder: string): Promise<string> {
  const parent = join(folder, "..");
  const names = (await Array.fromAsync(Deno.readDir(parent))).map(({ name }) => name);
  return join(parent, names.find((name) => name.endsWith(".old"))!);
}
