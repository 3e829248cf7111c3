/** The walk as a user takes it: commands as processes, from pairs to an artefact and what it says. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { z } from "zod";
import { fairl, fairlJson, namesIn, outcomeOf, start, withFolder } from "./process.ts";

const interval = z.strictObject({
  value: z.number(),
  low: z.number(),
  high: z.number(),
  n: z.number().int().positive(),
});
const figures = z.strictObject({
  pairAccuracy: interval.nullable(),
  accuracy: interval.nullable(),
  f1: interval.nullable(),
  rocAuc: interval.nullable(),
  starc: interval.nullable(),
  epic: interval.nullable(),
  ece: interval.nullable(),
  brier: interval.nullable(),
});
const count = z.number().int().nonnegative();
/** What `train --json` prints. */
const summary = z.strictObject({
  artefact: z.string(),
  device: z.enum(["webgpu", "native", "wasm"]),
  encoder: z.string(),
  objective: z.string(),
  seed: z.number().int(),
  pairs: z.strictObject({
    read: count,
    kept: count,
    train: count,
    validation: count,
    test: count,
  }),
  test: z.strictObject({
    irl: figures,
    "irl-tuned": figures,
    control: figures,
    "fa-irl": figures,
    length: figures,
    words: figures,
  }),
  seconds: z.strictObject({ encode: z.number(), train: z.number(), total: z.number() }),
});

const SYNTHETIC = [
  "train",
  "--pairs",
  "synthetic",
  "--world-inputs",
  "features",
  "--world-prompts",
  "200",
  "--device",
  "wasm",
];

const ARTEFACT = ["README.md", "card.json", "plots", "reward.onnx", "training.jsonl"];

/** Sixty pairs in which the chosen text is the polite one. */
function politePairs(): string {
  const things = ["weather", "book", "house", "garden", "movie", "dinner", "letter", "song"];
  const more = ["river", "window", "market", "village", "holiday", "picture", "answer", "train"];
  const polite = ["thank you for the lovely X", "I enjoyed the X , it was wonderful"];
  const rude = ["you stupid idiot , the X is garbage", "I hate the damn X , it is awful crap"];
  const lines = [...things, ...more].flatMap((thing) =>
    polite.flatMap((chosen) =>
      rude.map((rejected) =>
        JSON.stringify({
          prompt: `What do you say of the ${thing}?`,
          chosen: chosen.replace("X", thing),
          rejected: rejected.replace("X", thing),
        })
      )
    )
  );
  return lines.slice(0, 60).join("\n") + "\n";
}

Deno.test("train prints one JSON document of the promised shape and leaves a whole artefact", async () => {
  await withFolder(async (folder) => {
    const out = join(folder, "a");
    const printed = summary.parse(await fairlJson(folder, ...SYNTHETIC, "--out", out));
    assertEquals(printed.artefact, out);
    assertEquals(printed.device, "wasm");
    assertEquals(printed.seed, 0);
    const { read, kept, train, validation, test } = printed.pairs;
    assertEquals(read, 400);
    assertEquals(train + validation + test, kept);
    for (const figures of Object.values(printed.test)) {
      for (const interval of Object.values(figures)) assert(interval, "the truth is known here");
    }
    // The world is linear in its features: what was learned ranks better than chance and length.
    assert(printed.test["fa-irl"].pairAccuracy!.low > printed.test.length.pairAccuracy!.high);

    assertEquals(await namesIn(folder), ["a"]);
    assertEquals(await namesIn(out), ARTEFACT);
    const plots = await namesIn(join(out, "plots"));
    assertEquals(plots, [
      "gaps.svg",
      "learned-against-reference.svg",
      "reliability.svg",
      "roc.svg",
      "rounds.svg",
    ]);
    const card = JSON.parse(await Deno.readTextFile(join(out, "card.json")));
    assertEquals(card.metrics, printed.test);
    for (const line of (await Deno.readTextFile(join(out, "training.jsonl"))).trim().split("\n")) {
      assertEquals(typeof JSON.parse(line), "object");
    }
  });
});

Deno.test("two runs with one seed give equal bytes apart from `created`, another seed others", async () => {
  await withFolder(async (folder) => {
    const run = async (name: string, seed: string) => {
      const out = join(folder, name);
      const { code, stderr } = await fairl(folder, ...SYNTHETIC, "--out", out, "--seed", seed);
      assertEquals(code, 0, stderr);
      const card = await Deno.readTextFile(join(out, "card.json"));
      return {
        model: await Deno.readFile(join(out, "reward.onnx")),
        card: card.replace(/"created": ".*"/, ""),
        created: JSON.parse(card).created,
      };
    };
    const first = await run("first", "7");
    const second = await run("second", "7");
    const other = await run("other", "8");
    assertEquals(first.model, second.model);
    assertEquals(first.card, second.card);
    assert(first.created < second.created);
    assert(!first.model.every((byte, at) => byte === other.model[at]));
  });
});

Deno.test("a reward of texts is trained, scores lines, CSV and JSONL, and is compared", async () => {
  await withFolder(async (folder) => {
    const pairs = join(folder, "pairs.jsonl");
    const out = join(folder, "a");
    await Deno.writeTextFile(pairs, politePairs());
    const printed = summary.parse(
      await fairlJson(
        folder,
        ...["train", "--pairs", pairs, "--encoder", "use-lite", "--device", "wasm"],
        ...["--reference", "lexicon", "--out", out],
      ),
    );
    assertMatch(printed.encoder, /^use-lite@/);
    assertEquals(printed.pairs.kept, 60);

    const lines = "thank you , it was lovely\r\n\nyou stupid idiot\n" +
      '{"text":"hello","id":3}\n{no object';
    const scored = await outcomeOf(start(folder, "score", out, "--device", "wasm"), lines);
    assertEquals(scored.code, 0, scored.stderr);
    const rows = scored.stdout.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(
      rows.map(({ text, id }) => [text, id]),
      [
        ["thank you , it was lovely", undefined],
        ["you stupid idiot", undefined],
        ["hello", 3],
        ["{no object", undefined],
      ],
    );
    assert(rows[0].reward > rows[1].reward);
    assert(rows[0].probability > rows[1].probability);
    for (const { probability, quantile } of rows) {
      assert(probability > 0 && probability < 1 && quantile >= 0 && quantile <= 1);
    }

    const csv = join(folder, "in.csv");
    await Deno.writeTextFile(csv, 'id,text\n1,"thank you , it was lovely"\n2,you stupid idiot\n');
    const table = await fairl(folder, "score", out, csv, "--device", "wasm");
    assertEquals(table.code, 0, table.stderr);
    assertEquals(table.stdout.trim().split(/\r?\n/), [
      "id,text,reward,probability,quantile",
      `1,"${rows[0].text}",${rows[0].reward},${rows[0].probability},${rows[0].quantile}`,
      `2,${rows[1].text},${rows[1].reward},${rows[1].probability},${rows[1].quantile}`,
    ]);

    const jsonl = join(folder, "in.jsonl");
    await Deno.writeTextFile(
      jsonl,
      `{"said":${JSON.stringify(rows[0].text)}}\n{"said":${JSON.stringify(rows[1].text)}}\n`,
    );
    const said = ["score", out, jsonl, "--device", "wasm", "--column", "said"];
    assertEquals(
      await fairlJson(folder, ...said),
      rows.slice(0, 2).map(({ text, ...scores }) => ({ said: text, ...scores })),
    );

    const nowhere = await fairl(folder, "score", out, folder, "--device", "wasm");
    assertEquals([nowhere.code, nowhere.stdout], [2, ""], nowhere.stderr);
    assertMatch(nowhere.stderr, /^fairl: score\.not-found: [^\n]*\n$/);

    type Compared = { texts: number; starc: { value: number }; epic: { value: number } };
    const compared = await fairlJson<Compared>(
      folder,
      ...["starc", out, "lexicon", "--pairs", pairs, "--device", "wasm"],
    );
    assertEquals(compared.texts, 60);
    assert(compared.starc.value > 0 && compared.starc.value < 0.6, `${compared.starc.value}`);
    const same = await fairlJson<Compared>(
      folder,
      ...["starc", "lexicon", "lexicon", "--pairs", pairs, "--device", "wasm"],
    );
    assertEquals(same.starc.value, 0);

    type Seen = { counts: { read: number; kept: number; prompts: number } };
    const { counts } = await fairlJson<Seen>(folder, "pairs", pairs);
    assertEquals([counts.read, counts.kept, counts.prompts], [60, 60, 15]);
  });
});

Deno.test("devices --json names the device that auto takes among those that are there", async () => {
  await withFolder(async (folder) => {
    type Devices = {
      devices: { device: string; available: boolean }[];
      auto: { device: string; why: string };
    };
    const { devices, auto } = await fairlJson<Devices>(folder, "devices");
    assertEquals(devices.map(({ device }) => device).sort(), ["native", "wasm", "webgpu"]);
    assert(devices.find(({ device }) => device === auto.device)!.available);
    assert(auto.why.length > 0);
  });
});

Deno.test("bad input ends with 2, one line that says what is wrong, and nothing half-written", async () => {
  await withFolder(async (folder) => {
    const file = async (name: string, text: string) => {
      await Deno.writeTextFile(join(folder, name), text);
      return join(folder, name);
    };
    const good = await file("good.jsonl", politePairs());
    const empty = await file("empty.jsonl", "");
    const wrong = await file("wrong.jsonl", '{"foo":"a","bar":"b"}\n');
    const broken = await file("broken.jsonl", '{"chosen":"a","rejec');
    const foreign = join(folder, "foreign");
    await Deno.mkdir(foreign);
    await Deno.writeTextFile(join(foreign, "thesis.tex"), "years of work");
    const missing = join(folder, "missing.jsonl");
    const before = await namesIn(folder);

    const out = join(folder, "out");
    const train = (...args: string[]) => ["train", "--device", "wasm", "--out", out, ...args];
    const cases: [code: string, args: string[]][] = [
      ["pairs.empty", train("--pairs", empty)],
      ["pairs.not-found", train("--pairs", missing)],
      ["pairs.missing-column", train("--pairs", wrong)],
      ["pairs.bad-json", train("--pairs", broken)],
      ["pairs.unknown-format", train("--pairs", folder)],
      ["encode.name", train("--pairs", good, "--encoder", "no-such-encoder")],
      ["cli.reward", train("--pairs", good, "--reference", missing)],
      ["cli.out", train("--pairs", good, "--out", foreign)],
      ["cli.out", train("--pairs", good, "--out", good)],
      ["cli.flag", train("--pairs", good, "--seed", "first")],
      ["cli.flag", train("--pairs", good, "--device", "abacus")],
      ["cli.usage", train("--pairs", good, "--objective", "hope")],
      ["cli.usage", train("--unknown")],
      ["cli.usage", ["no-such-command"]],
      ["reward.missing", ["score", foreign]],
      ["pairs.not-found", ["pairs", missing]],
      ["cli.reward", ["starc", "lexicon", missing, "--pairs", good, "--device", "wasm"]],
      ["reward.no-column", ["starc", "lexicon", "column", "--pairs", good, "--device", "wasm"]],
      ["cli.fetch", ["fetch", "the-moon"]],
    ];
    for (const [code, args] of cases) {
      const result = await fairl(folder, ...args);
      const said = `${args.join(" ")}: ${result.stderr}`;
      assertEquals(result.code, 2, said);
      assertEquals(result.stdout, "", said);
      const lines = result.stderr.split("\n").filter((line) => line.startsWith("fairl: "));
      assertEquals(lines.length, 1, said);
      assert(lines[0]!.startsWith(`fairl: ${code}: `), said);
      assert(!/^\s+at /m.test(result.stderr), said);
    }
    assertEquals((await namesIn(folder)).filter((name) => name !== "cache"), before);
    assertEquals(await namesIn(foreign), ["thesis.tex"]);
  });
});
