/** The rows of a Parquet file, one row group in memory at a time. */
import { FairlError, messageOf } from "../base/mod.ts";
import type { Row } from "./rows.ts";

/** The columns that mean something here; others are never decoded. */
const COLUMNS = new Set([
  "prompt",
  "chosen",
  "rejected",
  "base",
  "aligned",
  "chosen_reference",
  "rejected_reference",
  "label",
  "group",
  "text",
]);

/**
 * Streams the rows of a Parquet file; a text that is not UTF-8 reads with replacement characters.
 *
 * @throws FairlError `pairs.bad-parquet`
 */
export async function* parquetRows(path: string): AsyncGenerator<Row> {
  const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  using handle = await Deno.open(path);
  const byteLength = (await handle.stat()).size;
  const file = {
    byteLength,
    // In one go, because columns are asked for at the same time and the file has one position.
    slice(start: number, end: number = byteLength): ArrayBuffer {
      const bytes = new Uint8Array(end - start);
      handle.seekSync(start, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) {
        const count = handle.readSync(bytes.subarray(at));
        if (count === null) throw new Error("the file ends too early");
        at += count;
      }
      return bytes.buffer;
    },
  };
  try {
    const metadata = await parquetMetadataAsync(file);
    const columns = parquetSchema(metadata).children.map((child) => child.element.name)
      .filter((name) => COLUMNS.has(name));
    let first = 0;
    for (const group of metadata.row_groups) {
      const end = first + Number(group.num_rows);
      const rows = await parquetReadObjects({
        file,
        metadata,
        columns,
        compressors,
        rowStart: first,
        rowEnd: end,
      });
      for (const [at, values] of rows.entries()) yield { line: first + at + 1, values };
      first = end;
    }
  } catch (cause) {
    throw new FairlError("pairs.bad-parquet", `${path} cannot be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}
