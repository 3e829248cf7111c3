/** SHA-256 of bytes, texts and files: the name of every input, artefact and cache entry. */
import { createHash } from "node:crypto";

/** SHA-256 in lower-case hexadecimal of bytes or of a text's UTF-8. */
export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** SHA-256 of a file, read as a stream: its size does not matter. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (;;) {
    const count = await file.read(buffer);
    if (count === null) return hash.digest("hex");
    hash.update(buffer.subarray(0, count));
  }
}
