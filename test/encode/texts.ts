/** Texts for the tests of encode/, and how to compare embeddings. */
import { assert } from "@std/assert";
import { join } from "@std/path";

/** What people type, paste and break. */
export const ODD_TEXTS: readonly string[] = [
  "",
  " ",
  "  two  spaces  ",
  "a\ttab and a\nline",
  "\u0000\u0007\u001b[31m",
  "😀",
  "a 😀😀 b 👩‍👩‍👧‍👦 c",
  "hello 你好 world",
  "Привет, мир",
  "مرحبا بالعالم",
  "ﬁne ｆｕｌｌ ½ Å e\u0301",
  "\ud800 lone \udc00 halves",
  "\ufffd",
  "▁ already ▁ there",
  "): ://:(:)",
  "x".repeat(3000),
  "many words ".repeat(400),
  "ok",
];

/** The first sentences of ParaDetox and Davidson in the folder that FAIRL_MIRROR names. */
export async function sentences(count: number): Promise<string[]> {
  const mirror = Deno.env.get("FAIRL_MIRROR");
  assert(mirror, "FAIRL_MIRROR names no folder with the data");
  const read = async (name: string) => (await Deno.readTextFile(join(mirror, name))).split("\n");
  const half = Math.ceil(count / 2);
  const pairs = (await read("paradetox.tsv")).slice(1).flatMap((line) => line.split("\t"));
  const tweets = (await read("davidson_labeled_data.csv")).slice(1);
  const kept = (texts: string[]) => texts.filter((text) => text.trim() !== "");
  return [...kept(pairs).slice(0, half), ...kept(tweets).slice(0, count - half)];
}

/** Cosine of each row of one matrix with the same row of another. */
export function cosines(a: Float32Array, b: Float32Array, width: number): number[] {
  return Array.from({ length: a.length / width }, (_, row) => {
    let [dot, aa, bb] = [0, 0, 0];
    for (let at = row * width; at < (row + 1) * width; at++) {
      dot += a[at]! * b[at]!;
      aa += a[at]! ** 2;
      bb += b[at]! ** 2;
    }
    return dot / Math.sqrt(aa * bb);
  });
}
