/** The commands around language models, as processes, on the models that ship. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { loadModel, readAdapter } from "../../src/lm/mod.ts";
import { KILLS, survivesKills } from "./kills.ts";
import { fairl, fairlJson, namesIn, outcomeOf, start, withFolder } from "./process.ts";

/** Lines of JSON. */
function rowsOf<T = Record<string, unknown>>(text: string): T[] {
  return text.trim().split("\n").map((line) => JSON.parse(line) as T);
}

Deno.test("train without flags samples its pairs, names their kinds and has the white box beside", async () => {
  await withFolder(async (folder) => {
    const out = join(folder, "a");
    const run = ["train", "--prompts", "120", "--device", "wasm", "--out", out, "--json"];
    const { code, stdout, stderr } = await fairl(folder, ...run);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, /kinds, base -> aligned, T is toxic: T->NT \d.*T->T.*NT->NT.*NT->T/);
    const { test, pairs } = JSON.parse(stdout);
    assertEquals(Object.keys(test), [
      "irl",
      "irl-tuned",
      "control",
      "fa-irl",
      "distilled",
      "implicit",
      "length",
      "words",
    ]);
    assert(pairs.kept > 200);
    // What the models themselves say ranks their own pairs best of all.
    assert(test.implicit.pairAccuracy.value > test.irl.pairAccuracy.value + 0.1);
    assert(test.distilled.starc.value < 0.6);
    const card = JSON.parse(await Deno.readTextFile(join(out, "card.json")));
    assertMatch(card.reference, /^column|toxicity/);
  });
});

const TINY = [
  ...["rlhf", "--device", "wasm", "--epochs", "6", "--batch", "4", "--group", "2"],
  ...["--max-tokens", "6", "--checkpoint-every", "1"],
];

async function modelIn(folder: string): Promise<unknown> {
  const names = ["model.safetensors", "training.jsonl"];
  return await Promise.all(names.map((name) => Deno.readFile(join(folder, name))));
}

Deno.test(`rlhf goes on after SIGKILL at ${KILLS} random moments, to the undisturbed bytes`, async () => {
  await withFolder(async (folder) => {
    const kept = await survivesKills(folder, {
      args: (out) => [...TINY, "--out", out],
      result: modelIn,
      kept: async (out) => (await namesIn(`${out}.unfinished`)).includes("checkpoint.bin"),
    });
    assert(kept > 0, "some kill has to come after a checkpoint");
  });
});

Deno.test(`pairs make goes on after SIGKILL at ${KILLS} random moments, to the undisturbed bytes`, async () => {
  await withFolder(async (folder) => {
    const prompts = join(folder, "prompts.txt");
    const beginnings = ["the movie", "you are", "this is", "we went to"];
    await Deno.writeTextFile(prompts, Array(64).fill(beginnings).flat().join("\n"));
    const kept = await survivesKills(folder, {
      args: (out) => [
        ...["pairs", "make", "--device", "wasm", "--prompts", prompts, "--per-prompt", "1"],
        ...["--max-tokens", "6", "--out", out],
      ],
      result: (out) => Deno.readTextFile(out),
      kept: async (out) => (await Deno.stat(`${out}.part.json`)).isFile,
    });
    assert(kept > 0, "some kill has to come after some prompts");
  });
});

Deno.test("rlhf with adapters leaves a whole model, an adapter for PEFT, a card, a log and curves", async () => {
  await withFolder(async (folder) => {
    const out = join(folder, "a");
    type Printed = { first: { kl: number }; last: { epoch: number }; stopped: null };
    const { first, last, stopped } = await fairlJson<Printed>(
      folder,
      ...TINY,
      ...["--lora", "2", "--algo", "ppo", "--reward", "random:3", "--cap", "1", "--out", out],
    );
    assert(Math.abs(first.kl) < 1e-3);
    assertEquals([last.epoch, stopped], [6, null]);
    assertEquals(await namesIn(out), [
      "README.md",
      "adapter",
      "config.json",
      "model.safetensors",
      "plots",
      "tokenizer.json",
      "training.jsonl",
    ]);
    assertEquals(rowsOf(await Deno.readTextFile(join(out, "training.jsonl"))).length, 7);
    assert((await Deno.readTextFile(join(out, "plots", "curves.svg"))).includes("distinct-2"));

    const read = (name: string) => Deno.readFile(join(out, "adapter", name));
    const { parameters, settings } = readAdapter(
      await read("adapter_config.json"),
      await read("adapter_model.safetensors"),
    );
    assertEquals(settings, { rank: 2, alpha: 4 });
    const [base, merged] = [await loadModel("models/comments-base"), await loadModel(out)];
    const name = "model.layers.0.mlp.up_proj.weight";
    const { dims, data } = base.weights[name]!;
    const [a, b] = [parameters[`${name}.a`]!, parameters[`${name}.b`]!];
    assertEquals([a.dims, b.dims], [[2, dims[1]!], [dims[0]!, 2]]);
    const delta = 2 * (b.data[0]! * a.data[5]! + b.data[1]! * a.data[dims[1]! + 5]!);
    const moved = merged.weights[name]!.data[5]! - data[5]!;
    assert(Math.abs(moved - delta) < 1e-5 && delta !== 0, `${moved} and ${delta}`);

    // The folder is a model like any other.
    const sampled = await fairl(
      folder,
      ...["sample", "the movie was", "--model", out, "--count", "2", "--device", "wasm"],
    );
    assertEquals(sampled.code, 0, sampled.stderr);
    assertEquals(
      rowsOf(sampled.stdout).map(({ prompt }) => prompt),
      Array(2).fill("the movie was"),
    );
  });
});

Deno.test("dpo learns from a file of pairs, and an artefact's reward can align a model", async () => {
  await withFolder(async (folder) => {
    const pairs = join(folder, "pairs.jsonl");
    const make = await fairl(
      folder,
      ...["pairs", "make", "--device", "wasm", "--out", pairs, "--per-prompt", "1"],
      ...["--prompts", await promptsIn(folder)],
    );
    assertEquals(make.code, 0, make.stderr);
    const rows = rowsOf(await Deno.readTextFile(pairs));
    assertEquals(Object.keys(rows[0]!), [
      "prompt",
      "chosen",
      "rejected",
      "chosen_reference",
      "rejected_reference",
      "label",
      "chosen_implicit",
      "rejected_implicit",
    ]);
    // The chosen text is the aligned model's own.
    const mean = (name: string) =>
      rows.reduce((sum, row) => sum + Number(row[name]), 0) / rows.length;
    assert(mean("chosen_implicit") > 0 && mean("rejected_implicit") < 0);
    const dpo = [...TINY, "--algo", "dpo", "--pairs", pairs, "--beta", "0.1"];
    const aligned = await fairl(folder, ...dpo, "--out", join(folder, "dpo"));
    assertEquals(aligned.code, 0, aligned.stderr);

    const out = join(folder, "reward");
    const trained = await fairl(
      folder,
      ...["train", "--pairs", pairs, "--device", "wasm", "--out", out],
    );
    assertEquals(trained.code, 0, trained.stderr);
    const again = [...TINY, "--reward", out, "--cap", "0.5", "--out", join(folder, "again")];
    const realigned = await fairl(folder, ...again);
    assertEquals(realigned.code, 0, realigned.stderr);

    const compared = await fairlJson<{ b: string; starc: { value: number } }>(
      folder,
      ...["starc", "toxicity", "implicit", "--pairs", pairs, "--device", "wasm"],
    );
    assertMatch(compared.b, /^implicit/);
    assert(compared.starc.value < 0.7);
  });
});

Deno.test("implicit adds a column to lines and to CSV, and sample stops where it is told", async () => {
  await withFolder(async (folder) => {
    const run = start(folder, "implicit", "--device", "wasm");
    const lines = await outcomeOf(run, "have a nice day\nwhat a fucking mess\n");
    assertEquals(lines.code, 0, lines.stderr);
    const [nice, rude] = rowsOf<{ implicit: number }>(lines.stdout);
    assert(nice!.implicit > rude!.implicit, lines.stdout);
    const csv = join(folder, "in.csv");
    await Deno.writeTextFile(csv, "id,text\n1,have a nice day\n");
    const table = await fairl(folder, "implicit", csv, "--device", "wasm");
    assertEquals(table.stdout.trim().split(/\r?\n/), [
      "id,text,implicit",
      `1,have a nice day,${nice!.implicit}`,
    ]);
    const sample = await fairl(
      folder,
      ...["sample", "this is", "--count", "20", "--stop", "a", "--device", "wasm"],
    );
    const texts = rowsOf<{ text: string; reason: string }>(sample.stdout);
    assertEquals(texts.length, 20);
    assert(texts.some(({ reason }) => reason === "stop"));
    assert(texts.every(({ text }) => !text.includes("a")));
  });
});

Deno.test("bad input to the commands of models ends with 2 and one line", async () => {
  await withFolder(async (folder) => {
    const empty = join(folder, "empty.txt");
    await Deno.writeTextFile(empty, "");
    const broken = join(folder, "broken");
    await Deno.mkdir(broken);
    await Deno.writeTextFile(join(broken, "config.json"), '{"model_type":"mamba"}');
    const cases: [code: string, args: string[]][] = [
      ["cli.model", ["sample", "--model", "no-such-model"]],
      ["lm.config", ["sample", "--model", broken]],
      ["cli.prompts", ["sample", "--prompts", empty]],
      ["cli.context", ["sample", "--max-tokens", "4000"]],
      ["cli.flag", ["sample", "--temperature", "hot"]],
      ["cli.reward", ["rlhf", "--reward", "no-such-reward"]],
      ["cli.out", ["rlhf", "--out", broken.replace("broken", "empty.txt")]],
      ["cli.flag", ["rlhf", "--algo", "dpo", "--out", join(folder, "o")]],
      ["cli.flag", ["rlhf", "--algo", "dpo", "--pairs", "a.jsonl", "--micro-batch", "2"]],
      ["cli.flag", ["rlhf", "--group", "1", "--out", join(folder, "o")]],
      ["cli.usage", ["rlhf", "--algo", "magic"]],
      ["cli.reward", ["pairs", "make", "--reference", "column", "--out", join(folder, "o")]],
      ["cli.out", ["pairs", "make", "--out", join(folder, "no", "folder", "o")]],
      ["cli.model", ["implicit", "--aligned", "nobody", empty]],
      ["pairs.empty", ["implicit", empty]],
    ];
    for (const [code, args] of cases) {
      const { code: status, stdout, stderr } = await fairl(folder, ...args);
      const said = `${args.join(" ")}: ${stderr}`;
      assertEquals([status, stdout], [2, ""], said);
      const told = stderr.split("\n").filter((line) => line.startsWith("fairl: "));
      assertEquals(told.length, 1, said);
      assert(told[0]!.startsWith(`fairl: ${code}: `), said);
    }
  });
});

async function promptsIn(folder: string): Promise<string> {
  const path = join(folder, "prompts.txt");
  const all = JSON.parse(await Deno.readTextFile("models/prompts.json")) as string[];
  await Deno.writeTextFile(path, all.slice(0, 96).join("\n"));
  return path;
}
