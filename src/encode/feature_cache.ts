/** Features kept on disk: one SQLite file for each encoder and device, keyed by the text's hash. */
import { join } from "@std/path";
import { createHash } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { FairlError, messageOf } from "../base/mod.ts";

/** Rows that are written in one transaction at the latest. */
const FLUSH_ROWS = 512;
/** And the age in milliseconds at which they are written even when fewer. */
const FLUSH_AGE = 1000;
/** Raise when the same key would mean another row. */
const FORMAT = 1;

/** What a cache belongs to. */
export interface FeatureCacheKey {
  /** The encoder's id. */
  readonly id: string;
  /** Devices differ in the last bits, and the same device must give the same bytes. */
  readonly device: string;
  /** Length of a row. */
  readonly dimension: number;
}

/**
 * Feature rows on disk. Several processes may use one file at once; a process that is killed loses
 * the rows of its last second and nothing else (SQLite's write-ahead log).
 */
export class FeatureCache implements Disposable {
  readonly #database: DatabaseSync;
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #path: string;
  readonly #dimension: number;
  #waiting: { hash: Uint8Array; row: Uint8Array }[] = [];
  #flushed = performance.now();

  private constructor(database: DatabaseSync, path: string, dimension: number) {
    this.#database = database;
    this.#path = path;
    this.#dimension = dimension;
    this.#select = database.prepare("SELECT row FROM feature WHERE hash = ?");
    this.#insert = database.prepare("INSERT OR IGNORE INTO feature (hash, row) VALUES (?, ?)");
  }

  /**
   * Opens the file of an encoder in a folder, which is made where it is not there.
   *
   * @throws FairlError `encode.cache` when the file cannot be opened or is no cache
   */
  static async open(folder: string, key: FeatureCacheKey): Promise<FeatureCache> {
    const name = `${key.id}-${key.device}`.replaceAll(/[^\w.@-]+/g, "-");
    const path = join(folder, `${name}.v${FORMAT}.sqlite`);
    try {
      await Deno.mkdir(folder, { recursive: true });
      const { DatabaseSync } = await import("node:sqlite");
      const database = new DatabaseSync(path);
      database.exec("PRAGMA busy_timeout = 10000");
      database.exec("PRAGMA journal_mode = WAL");
      database.exec("PRAGMA synchronous = NORMAL");
      database.exec(
        "CREATE TABLE IF NOT EXISTS feature (hash BLOB PRIMARY KEY, row BLOB NOT NULL)",
      );
      return new FeatureCache(database, path, key.dimension);
    } catch (error) {
      throw unusable(path, error);
    }
  }

  /**
   * Copies the rows that are there to their places.
   *
   * @param texts Distinct texts
   * @param rows Room for their rows [texts, dimension]
   * @returns the indices of texts that have no row yet
   * @throws FairlError `encode.cache` when the file is damaged
   */
  load(texts: readonly string[], rows: Float32Array<ArrayBuffer>): number[] {
    const bytes = new Uint8Array(rows.buffer);
    const width = 4 * this.#dimension;
    const missing: number[] = [];
    try {
      for (const [index, text] of texts.entries()) {
        const found = this.#select.get(hashOf(text)) as { row: Uint8Array } | undefined;
        if (found?.row.length === width) bytes.set(found.row, index * width);
        else missing.push(index);
      }
    } catch (error) {
      throw unusable(this.#path, error);
    }
    return missing;
  }

  /** Keeps a row; it is on disk a second later, or after {@linkcode FeatureCache.flush}. */
  add(text: string, row: Float32Array): void {
    const bytes = new Uint8Array(row.buffer, row.byteOffset, row.byteLength).slice();
    this.#waiting.push({ hash: hashOf(text), row: bytes });
    const age = performance.now() - this.#flushed;
    if (this.#waiting.length >= FLUSH_ROWS || age >= FLUSH_AGE) this.flush();
  }

  /**
   * Writes the rows that wait, all in one transaction.
   *
   * @throws FairlError `encode.cache` when the disk is full or the file damaged
   */
  flush(): void {
    this.#flushed = performance.now();
    if (this.#waiting.length === 0) return;
    const rows = this.#waiting;
    this.#waiting = [];
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const { hash, row } of rows) this.#insert.run(hash, row);
      this.#database.exec("COMMIT");
    } catch (error) {
      throw unusable(this.#path, error);
    }
  }

  /** Writes what waits and closes the file. */
  [Symbol.dispose](): void {
    this.flush();
    this.#database.close();
  }
}

function unusable(path: string, error: unknown): FairlError {
  return new FairlError(
    "encode.cache",
    `The feature cache ${path} cannot be used (${messageOf(error)}); delete it or name another`,
    { cause: error },
  );
}

function hashOf(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
