/** Bytes to lines of text, with line numbers and a bound on memory. */

/** The longest line, or CSV record, that is read: 8 MiB. A longer one is a problem of that line. */
export const MAX_LINE_BYTES: number = 8 * 1024 * 1024;

/** A line, or what is wrong with it. */
export type Line =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly problem: "pairs.bad-utf8" | "pairs.long-line" };

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits bytes at line ends (LF or CRLF), the byte order mark taken off. Lines come in batches,
 * one for each chunk that was read, because a promise per line would cost more than the line.
 *
 * @param chunks The bytes of a text file in UTF-8
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array<ArrayBufferLike>>,
): AsyncGenerator<Line[]> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let number = 0;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;

  function finish(tail: Uint8Array): Line {
    number++;
    const size = pendingBytes + tail.length;
    let bytes = tail;
    if (pendingBytes > 0 && size <= MAX_LINE_BYTES) {
      bytes = new Uint8Array(size);
      let at = 0;
      for (const piece of [...pending, tail]) {
        bytes.set(piece, at);
        at += piece.length;
      }
    }
    pending = [];
    pendingBytes = 0;
    if (size > MAX_LINE_BYTES) return { number, problem: "pairs.long-line" };
    if (bytes.at(-1) === CARRIAGE_RETURN) bytes = bytes.subarray(0, -1);
    try {
      const text = decoder.decode(bytes);
      return { number, text: number === 1 && text.startsWith("\uFEFF") ? text.slice(1) : text };
    } catch {
      return { number, problem: "pairs.bad-utf8" };
    }
  }

  for await (const chunk of chunks) {
    const batch: Line[] = [];
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) >= 0; start = end + 1) {
      batch.push(finish(chunk.subarray(start, end)));
    }
    if (start < chunk.length) {
      pendingBytes += chunk.length - start;
      // What is over the limit is counted and let go, so that no line can fill the memory.
      if (pendingBytes > MAX_LINE_BYTES) pending = [];
      else pending.push(chunk.subarray(start));
    }
    if (batch.length > 0) yield batch;
  }
  if (pendingBytes > 0) yield [finish(new Uint8Array(0))];
}
