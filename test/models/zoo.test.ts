/** The shipped files, how they are made again, and what the bench measures them with. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { KneserNey } from "../../bench/kneser_ney.ts";
import { BASE_RECIPE, makeBase } from "../../models/base.ts";
import { withFiles } from "../../models/files.ts";
import { type Written, writtenWords } from "../../models/measure.ts";
import { Random } from "../../src/base/mod.ts";

Deno.test("models/README.md lists the shipped files as they are, at most 12 MB together", async () => {
  const readme = await Deno.readTextFile("models/README.md");
  assertEquals(readme, await withFiles("models"), "run: deno task models cards");
  const [, total] = /\| together \|[^|]*\| ([\d,]+) \|/.exec(readme)!;
  assert(Number(total!.replaceAll(",", "")) <= 12e6);
});

Deno.test("the cards name seeds, data and its hashes, and warn", async () => {
  for (const name of ["comments-base", "comments-aligned"]) {
    const card = await Deno.readTextFile(`models/${name}/README.md`);
    assert(/^---\nlicense: apache-2.0\n/.test(card));
    for (const part of ["offensive text", "seed 0", "paradetox.tsv", "davidson_labeled_data.csv"]) {
      assert(card.includes(part), `${name}: ${part}`);
    }
    assert([...card.matchAll(/SHA-256 `[0-9a-f]{64}`/g)].length >= 4, name);
  }
});

Deno.test("training of the base goes on from its checkpoint to the bytes of an undisturbed run", async () => {
  const random = new Random(0, "comments");
  const words = ["good", "bad", "day", "night", "this", "that", "is", "was", "a", "the"];
  const comments = Array.from({ length: 300 }, () => ({
    text: Array.from({ length: 6 }, () => words[random.integer(words.length)]).join(" "),
    toxic: false,
    source: "paradetox" as const,
  }));
  const data = { train: comments.slice(20), heldOut: comments.slice(0, 20) };
  const small = { vocabulary: 270, width: 16, feedWidth: 16, layers: 1, heads: 2, length: 15 };
  // 280 rows: 140 steps of an epoch, the checkpoints at 100 and 200.
  const recipe = { ...BASE_RECIPE, ...small, epochs: 2, rows: 2 };
  const folder = await Deno.makeTempDir();
  const said: string[] = [];
  const run = async (name: string, signal?: AbortSignal) => {
    const checkpoint = join(folder, "checkpoint.bin");
    await makeBase(join(folder, name), "wasm", {
      recipe,
      data,
      checkpoint,
      print: (line) => said.push(line),
      ...(signal ? { signal } : {}),
    });
    return await Deno.readFile(join(folder, name, "model.safetensors"));
  };
  try {
    const whole = await run("whole");
    let seen = 0;
    const stop = { throwIfAborted: () => assert(++seen < 170, "stopped") } as AbortSignal;
    await assertRejects(() => run("halves", stop), Error, "stopped");
    assertEquals(await run("halves"), whole);
    assert(said.some((line) => line.startsWith("going on after step 100")), said.join("\n"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Kneser-Ney gives the tokens after any context probabilities that sum to 1", () => {
  const random = new Random(1, "texts");
  // Squared, so that some tokens are rare: the discounts are estimated from counts of 1 to 4.
  const texts = Array.from(
    { length: 400 },
    () =>
      Int32Array.from(
        { length: 8 },
        (_, at) => at ? 1 + Math.floor(20 * random.uniform() ** 2) : 0,
      ),
  );
  const model = new KneserNey(texts, 3, 20);
  for (const before of [[0], [0, 3], [2, 1], [20, 20], [7]]) {
    let sum = 0;
    for (let token = 1; token <= 20; token++) {
      sum += model.probability(Int32Array.from(before), token);
    }
    assertAlmostEquals(sum, 1, 1e-12);
  }
  const { perplexity, tokens } = model.perplexity(texts);
  assertEquals(tokens, 400 * 7);
  assert(perplexity < new KneserNey(texts, 2, 20).perplexity(texts).perplexity);
});

Deno.test("written words begin with the prompt's last one where it goes on, without a cut one or numbers", () => {
  const of = (prompt: string, rest: string, reason: "eos" | "length") =>
    writtenWords({
      prompt,
      text: prompt + rest,
      tokens: [new Int32Array(1), { reason }] as unknown as Written["tokens"],
    });
  assertEquals(of("how are", " you, Bob's 2nd (mate)?", "eos"), ["you", "bob's", "mate"]);
  assertEquals(of("how ar", "ently you", "eos"), ["arently", "you"]);
  assertEquals(of("how are", " you today frie", "length"), ["you", "today"]);
});
