/**
 * Trains the shipped base model's recipe in PyTorch, from the same first weights on the same rows in the
 * same order, and keeps its perplexity for the table of bench/zoo.ts.
 *
 *     deno task bench zoo_peer
 */
import { join } from "@std/path";
import { BASE_RECIPE, baseTask } from "../models/base.ts";
import { modelData } from "../models/data.ts";
import { BOS, EOS, type PackedRows, packRows, saveModel } from "../src/lm/mod.ts";

/** Where its result lies. */
export const PEER = join(import.meta.dirname!, "results", "zoo", "pytorch.json");

async function main(): Promise<void> {
  const { train, heldOut } = await modelData();
  const task = await baseTask(train);
  const { epochs, rows, length } = BASE_RECIPE;
  const folder = await Deno.makeTempDir();
  const counts: Record<string, number> = {};
  const write = async (name: string, packed: PackedRows) => {
    counts[name] = packed.rows;
    for (const part of ["tokens", "texts"] as const) {
      await Deno.writeFile(`${folder}/${name}.${part}`, new Uint8Array(packed[part].buffer));
    }
  };
  try {
    const { config, weights, tokenizer } = task;
    await saveModel(`${folder}/model`, { config, weights, tokenizer: tokenizer.json, card: "" });
    for (let epoch = 0; epoch < epochs; epoch++) await write(`epoch${epoch}`, task.packed(epoch));
    const held = heldOut.map(({ text }) => Int32Array.of(BOS, ...tokenizer.encode(text), EOS));
    await write("held", packRows(held, length));
    const rates = Array.from({ length: task.steps }, (_, step) => task.rate(step));
    await Deno.writeTextFile(
      `${folder}/task.json`,
      JSON.stringify({ epochs, rows, length, counts, rates }),
    );
    const python = new Deno.Command("python3", {
      args: [`${import.meta.dirname}/peers/zoo.py`, folder],
      stdout: "piped",
    }).spawn();
    let last = "";
    for await (const chunk of python.stdout.pipeThrough(new TextDecoderStream())) {
      last += chunk;
      await Deno.stdout.write(new TextEncoder().encode(chunk));
    }
    if (!(await python.status).success) throw new Error("PyTorch did not finish");
    const result = JSON.parse(last.trimEnd().split("\n").at(-1)!);
    await Deno.mkdir(join(PEER, ".."), { recursive: true });
    await Deno.writeTextFile(PEER, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
