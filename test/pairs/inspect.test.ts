/** The report of a file and of a set. */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { FairlError } from "../../src/base/mod.ts";
import { inspectPairs, inspectStream, loadPairs } from "../../src/pairs/mod.ts";

async function withLines(lines: readonly unknown[], use: (path: string) => Promise<void>) {
  const path = await Deno.makeTempFile({ suffix: ".jsonl" });
  try {
    await Deno.writeTextFile(path, lines.map((line) => JSON.stringify(line)).join("\n"));
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

const rows = Array.from({ length: 300 }, (_, at) => ({
  prompt: `question ${at}`,
  chosen: `A fine answer to ${at}.`,
  rejected: `you fool number ${at} , go away now`,
  label: at % 3 === 0 ? "T->NT" : undefined,
  group: at % 2 === 0 ? "even" : "odd",
  chosen_reference: at,
  rejected_reference: 30,
}));

Deno.test("the report of a stream is that of the same pairs in memory", async () => {
  await withLines(
    [...rows, { chosen: "x" }, { chosen: "same", rejected: "same" }, rows[0]],
    async (path) => {
      const streamed = await inspectStream(path, { onError: "skip" });
      assertEquals(streamed, inspectPairs(await loadPairs(path, { onError: "skip" })));
      assertEquals(streamed.counts, {
        read: 303,
        kept: 300,
        problems: { "pairs.missing-column": 1 },
        duplicates: 1,
        equalTexts: 1,
        emptyTexts: 0,
        conflicts: 0,
        texts: 600,
        prompts: 300,
      });
      assertEquals(streamed.kinds["T->NT"], 100);
      assertEquals(streamed.groups, { even: 150, odd: 150 });
      assertEquals(streamed.references, { pairs: 300, agreeing: 269 });
      const lengths = rows.map((row) => row.chosen.length).sort((a, b) => a - b);
      assertEquals(streamed.lengths.chosen.percentiles, [
        lengths[14]!,
        lengths[149]!,
        lengths[284]!,
      ]);
      assertEquals(streamed.lengths.chosen.max, lengths.at(-1)!);
      const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
      assertAlmostEquals(streamed.lengths.chosen.mean, mean, 1e-9);
      const { train, test, results } = streamed.baselines!;
      assertEquals([train, test], [210, 90]);
      assertEquals(results.map(({ name }) => name), ["length", "casing", "words"]);
      assertEquals(results.map(({ pairAccuracy }) => pairAccuracy), [1, 1, 1]);
    },
  );
});

Deno.test("the content hash does not depend on the format of the file", async () => {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  const columns = [
    "prompt",
    "chosen",
    "rejected",
    "label",
    "group",
    "chosen_reference",
    "rejected_reference",
  ];
  await Deno.writeTextFile(
    path,
    [
      columns,
      ...rows.map((row) =>
        columns.map((key) => `"${(row as Record<string, unknown>)[key] ?? ""}"`)
      ),
    ]
      .map((cells) => cells.join(",")).join("\n"),
  );
  const { contentHash } = await inspectStream(path);
  await Deno.remove(path);
  await withLines(rows, async (jsonl) => {
    assertEquals((await inspectStream(jsonl)).contentHash, contentHash);
  });
});

Deno.test("pairs that are all connected are reported without baselines", async () => {
  const chain = rows.map((_, at) => ({ chosen: `t${at}`, rejected: `t${at + 1}` }));
  await withLines(chain, async (path) => assertEquals((await inspectStream(path)).baselines, null));
});

Deno.test("a file without one good pair is empty, and the error counts what was wrong", async () => {
  await withLines([{ chosen: "a" }, { chosen: "b", rejected: "b" }], async (path) => {
    for (const run of [inspectStream, loadPairs]) {
      const error = await assertRejects(
        async () => void await run(path, { onError: "skip" }),
        FairlError,
      ) as FairlError;
      assertEquals(error.code, "pairs.empty");
      assert(error.message.includes("of 2 rows"), error.message);
    }
  });
});
