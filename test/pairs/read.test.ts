/** Files of every format, whole and broken, as pairs. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { FairlError, Random } from "../../src/base/mod.ts";
import {
  type PreferencePair,
  type ReadOptions,
  readPairs,
  type RowProblem,
} from "../../src/pairs/mod.ts";

async function withFile<T>(
  name: string,
  content: string | Uint8Array,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/${name}`;
    await (typeof content === "string"
      ? Deno.writeTextFile(path, content)
      : Deno.writeFile(path, content));
    return await use(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function collect(path: string, options: ReadOptions = {}): Promise<PreferencePair[]> {
  const pairs = [];
  for await (const pair of readPairs(path, options)) pairs.push(pair);
  return pairs;
}

/** The pairs of a file and "line code" of each bad row. */
async function skim(path: string): Promise<[PreferencePair[], string[]]> {
  const problems: RowProblem[] = [];
  const pairs = await collect(path, { onError: "skip", onProblem: (each) => problems.push(each) });
  return [pairs, problems.map(({ line, code }) => `${line} ${code}`)];
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => run, FairlError)).code;
}

const ROWS = [
  { prompt: "Who?", chosen: 'Say "hi", please', rejected: "go\naway", label: "T->NT", group: "a" },
  {
    prompt: "",
    chosen: "你好，世界",
    rejected: "שלום 🙂",
    chosen_reference: 1.5,
    rejected_reference: -2,
  },
];
const PAIRS: PreferencePair[] = [
  { prompt: "Who?", chosen: 'Say "hi", please', rejected: "go\naway", label: "T->NT", group: "a" },
  {
    prompt: "",
    chosen: "你好，世界",
    rejected: "שלום 🙂",
    chosenReference: 1.5,
    rejectedReference: -2,
  },
];
const COLUMNS = [
  "prompt",
  "chosen",
  "rejected",
  "label",
  "group",
  "chosen_reference",
  "rejected_reference",
] as const;
const JSONL = ROWS.map((row) => JSON.stringify(row)).join("\n");
const table = (separator: string) =>
  [
    COLUMNS,
    ...ROWS.map((row) =>
      COLUMNS.map((column) =>
        `"${String((row as Record<string, unknown>)[column] ?? "").replaceAll('"', '""')}"`
      )
    ),
  ].map((cells) => cells.join(separator)).join("\r\n");

for (
  const [name, content] of [
    ["a.jsonl", JSONL],
    ["a.ndjson", JSONL + "\n\n"],
    ["a.csv", table(",")],
    ["a.tsv", table("\t")],
    ["bom-and-crlf.jsonl", "\uFEFF" + JSONL.replaceAll("\n", "\r\n")],
    ["bom.csv", "\uFEFF" + table(",")],
    ["a.jsonl.gz", gzipSync(JSONL)],
    ["a.csv.gz", gzipSync(table(","))],
    ["a.tsv.gz", gzipSync(table("\t"))],
  ] as const
) {
  Deno.test(`${name} reads as the pairs that were written`, async () => {
    assertEquals(await withFile(name, content, collect), PAIRS);
  });
}

Deno.test("a gzip file of several members reads whole", async () => {
  const [first, second] = ROWS.map((row) => gzipSync(JSON.stringify(row) + "\n"));
  const bytes = new Uint8Array([...first!, ...second!]);
  assertEquals(await withFile("a.jsonl.gz", bytes, collect), PAIRS);
});

for (const codec of ["UNCOMPRESSED", "SNAPPY"] as const) {
  Deno.test(`Parquet (${codec}) streams its row groups in order`, async () => {
    const indices = Array.from({ length: 2500 }, (_, at) => at);
    // So much, and so little of it alike, that the columns of a group are separate reads.
    const random = new Random(0);
    const tails = indices.map(() =>
      Array.from({ length: 600 }, () => random.integer(1e6)).join("")
    );
    const buffer = parquetWriteBuffer({
      codec,
      rowGroupSize: 1000,
      columnData: [
        { name: "chosen", data: indices.map((at) => `good ${at} ${tails[at]}`), type: "STRING" },
        { name: "rejected", data: indices.map((at) => `bad ${at} ${tails[at]}`), type: "STRING" },
        { name: "chosen_reference", data: indices.map((at) => at / 2), type: "DOUBLE" },
        { name: "ignored", data: indices, type: "INT32" },
      ],
    });
    const pairs = await withFile("a.parquet", new Uint8Array(buffer), collect);
    assertEquals(
      pairs,
      indices.map((at) => ({
        prompt: "",
        chosen: `good ${at} ${tails[at]}`,
        rejected: `bad ${at} ${tails[at]}`,
        chosenReference: at / 2,
      })),
    );
  });
}

Deno.test("Parquet with chat messages as lists of structs reads as TRL writes it", async () => {
  const turn = (role: string, content: string) => ({ role, content });
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: "chosen", data: [[turn("user", "q"), turn("assistant", "yes")]], type: "JSON" },
      { name: "rejected", data: [[turn("user", "q"), turn("assistant", "no")]], type: "JSON" },
    ],
  });
  assertEquals(await withFile("a.parquet", new Uint8Array(buffer), collect), [
    { prompt: "q", chosen: "yes", rejected: "no" },
  ]);
});

Deno.test("every bad line of JSONL is named by its number and a code, and the rest is read", async () => {
  const good = JSON.stringify({ chosen: "a", rejected: "b" });
  const encoder = new TextEncoder();
  const lines = [
    good,
    "{not json",
    "[1, 2]",
    JSON.stringify({ chosen: "a" }),
    JSON.stringify({ chosen: "a", rejected: 5 }),
    JSON.stringify({ base: "a", aligned: 5 }),
    JSON.stringify({ chosen: "a", rejected: "b", label: "bad->good" }),
    JSON.stringify({ chosen: "a", rejected: "b", chosen_reference: "high" }),
    '{"chosen":"\\ud800","rejected":"b"}',
    JSON.stringify({ chosen: "x".repeat(10_000_000), rejected: "b" }),
  ].map((line) => encoder.encode(line + "\n"));
  const bytes = [...lines, new Uint8Array([0x22, 0xff, 0xfe, 0x0a]), encoder.encode(good)];
  const content = new Uint8Array(await new Blob(bytes).arrayBuffer());
  const [pairs, problems] = await withFile("a.jsonl", content, skim);
  assertEquals(pairs.length, 2);
  assertEquals(problems, [
    "2 pairs.bad-json",
    "3 pairs.bad-json",
    "4 pairs.missing-column",
    "5 pairs.bad-value",
    "6 pairs.bad-value",
    "7 pairs.bad-value",
    "8 pairs.bad-value",
    "9 pairs.bad-utf8",
    "10 pairs.long-line",
    "11 pairs.bad-utf8",
  ]);
  const error = await withFile(
    "a.jsonl",
    content,
    async (path): Promise<Error> => await assertRejects(() => collect(path), FairlError),
  );
  assert(error.message.includes("a.jsonl:2: the line is not JSON"), error.message);
});

Deno.test("every bad record of CSV is named by the line it begins on, and the rest is read", async () => {
  const content = [
    "chosen,rejected",
    "a,b",
    "a,b,c",
    '"two\nlines",b',
    '"no end,b',
    "c,d",
    "e,f",
  ].join("\n");
  const [pairs, problems] = await withFile("a.csv", content, skim);
  assertEquals(pairs.map((pair) => pair.chosen), ["a", "two\nlines", "c", "e"]);
  assertEquals(problems, ["3 pairs.bad-csv", "6 pairs.bad-csv"]);
});

Deno.test("quotes inside an unquoted field are text", async () => {
  const content = 'chosen\trejected\na "b" c\td\n';
  assertEquals((await withFile("a.tsv", content, collect))[0]!.chosen, 'a "b" c');
});

Deno.test("a CSV record without an end stops within the limit of a line, and reading goes on", async () => {
  const filler = `x,${"y".repeat(997)}\n`.repeat(9000);
  const [pairs, problems] = await withFile("a.csv", `chosen,rejected\n"open,b\n${filler}`, skim);
  assertEquals(pairs.length, 9000);
  assertEquals(problems, ["2 pairs.bad-csv"]);
});

Deno.test("files that cannot be read at all give one code each", async () => {
  const folder = await Deno.makeTempDir({ suffix: ".jsonl" });
  assertEquals(await codeOf(collect(folder)), "pairs.unreadable");
  await Deno.remove(folder);
  assertEquals(await codeOf(collect("missing.jsonl")), "pairs.not-found");
  for (
    const [name, content, code] of [
      ["a.jsonl", "", "pairs.empty"],
      ["a.csv", "chosen,rejected\n", "pairs.empty"],
      ["a.csv", "chosen,chosen\na,b\n", "pairs.bad-csv"],
      ["a.jsonl.gz", gzipSync("").subarray(0, 5), "pairs.bad-gzip"],
      ["a.jsonl.gz", gzipSync(JSONL).subarray(0, 60), "pairs.bad-gzip"],
      ["a.jsonl.gz", "not gzip", "pairs.bad-gzip"],
      ["a.parquet", "not parquet at all", "pairs.bad-parquet"],
      ["a.json", "[]", "pairs.unknown-format"],
      ["a", JSONL, "pairs.unknown-format"],
    ] as const
  ) assertEquals(await withFile(name, content, (path) => codeOf(collect(path))), code, name);
});

Deno.test("standard input is read as the format that is named", async () => {
  const mod = new URL("../../src/pairs/mod.ts", import.meta.url).href;
  const code = `import { readPairs } from ${JSON.stringify(mod)};
    for await (const pair of readPairs("-", { format: "csv" })) console.log(JSON.stringify(pair));`;
  // The program itself comes from a file, since standard input carries the data.
  await withFile("program.ts", code, async (path) => {
    const run = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--config",
        new URL("../../deno.json", import.meta.url).pathname,
        path,
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = run.stdin.getWriter();
    await writer.write(new TextEncoder().encode("base,aligned\nbad,good\n"));
    await writer.close();
    const { stdout, success } = await run.output();
    assert(success);
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
      prompt: "",
      chosen: "good",
      rejected: "bad",
    });
  });
});

Deno.test("a consumer that stops early leaves no file open", async () => {
  await withFile("a.jsonl.gz", gzipSync(JSONL), async (path) => {
    for await (const pair of readPairs(path)) {
      assertEquals(pair, PAIRS[0]);
      break;
    }
  });
});
