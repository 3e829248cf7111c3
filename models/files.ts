/** What ships in models/, with sizes and hashes, as models/README.md lists it. */
import { sha256OfFile } from "../src/base/mod.ts";

/** Each file and what `deno task models` is told to make it. */
const FILES: Readonly<Record<string, string>> = {
  "toxicity.json": "toxicity",
  "comments-base/config.json": "base",
  "comments-base/tokenizer.json": "base",
  "comments-base/model.safetensors": "base",
  "comments-aligned/config.json": "aligned",
  "comments-aligned/tokenizer.json": "aligned",
  "comments-aligned/model.safetensors": "aligned",
  "prompts.json": "prompts",
};

const [START, END] = ["<!-- files: deno task models cards -->", "<!-- end of files -->"];

/** The text of README.md with its table as the files are now. */
export async function withFiles(folder: string): Promise<string> {
  let total = 0;
  const rows = await Promise.all(
    Object.entries(FILES).map(async ([name, what]) => {
      const { size } = await Deno.stat(`${folder}/${name}`);
      total += size;
      const hash = await sha256OfFile(`${folder}/${name}`);
      return `| \`${name}\` | \`deno task models ${what}\` | ${grouped(size)} | \`${hash}\` |`;
    }),
  );
  const table = [
    START,
    "| file | made by | bytes | SHA-256 |",
    "|---|---|---|---|",
    ...rows,
    `| together | \`deno task models all\` | ${grouped(total)} | |`,
    END,
  ].join("\n");
  const text = await Deno.readTextFile(`${folder}/README.md`);
  const [before, rest] = text.split(START);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`README.md has no "${START}" with its end`);
  return before + table + after;
}

function grouped(count: number): string {
  return count.toLocaleString("en-US");
}
