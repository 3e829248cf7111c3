/** The artefact on disk: a folder that is there whole or not at all, and refuses changed bytes. */
import { dirname, join } from "@std/path";
import { FairlError, messageOf, sha256, writeFolderAtomic } from "../base/mod.ts";
import { type Card, cardSchema, MODEL_FILE } from "./card.ts";
import { modelCard } from "./model_card.ts";

/** What an artefact is made of. */
export interface ArtefactParts {
  /** `reward.onnx`: features `[n, dimension]` in, `reward [n]` out. */
  readonly model: Uint8Array;
  /** The card without the hashes, which saving adds. */
  readonly card: Omit<Card, "files">;
  /** The lines of `training.jsonl`. */
  readonly training: readonly object[];
  /** SVG texts by the name of their file in `plots/`. */
  readonly plots: Readonly<Record<string, string>>;
}

/** An artefact that was read and checked. */
export interface Artefact {
  /** Where it lies. */
  readonly folder: string;
  /** The bytes of `reward.onnx`. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** Its card. */
  readonly card: Card;
}

const CARD = "card.json";

/**
 * Writes `reward.onnx`, `card.json`, `README.md` (a Hugging Face model card), `training.jsonl` and
 * `plots/`. The folder is filled beside its place and moved there, so that a kill while it is filled
 * leaves the old one. Equal parts give equal bytes.
 *
 * @returns the card as it was written, with the hashes
 * @throws ZodError when the card is not one: a defect of the caller
 */
export async function saveArtefact(folder: string, parts: ArtefactParts): Promise<Card> {
  const files: Record<string, Uint8Array> = { [MODEL_FILE]: parts.model };
  const bytes = (text: string) => new TextEncoder().encode(text);
  files["training.jsonl"] = bytes(
    parts.training.map((line) => JSON.stringify(line) + "\n").join(""),
  );
  for (const [name, svg] of Object.entries(parts.plots)) files[`plots/${name}`] = bytes(svg);
  files["README.md"] = bytes(modelCard(parts.card, Object.keys(parts.plots)));
  const hashes = Object.fromEntries(
    Object.entries(files).map(([name, data]) => [name, sha256(data)]),
  );
  // By way of JSON, so that what is checked is what a reader gets: JSON turns NaN into null.
  const card = cardSchema.parse(JSON.parse(JSON.stringify({ ...parts.card, files: hashes })));
  await writeFolderAtomic(folder, async (target) => {
    for (const [name, data] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(target, name)), { recursive: true });
      await Deno.writeFile(join(target, name), data);
    }
    await Deno.writeTextFile(join(target, CARD), JSON.stringify(card, null, 2) + "\n");
  });
  return card;
}

/**
 * Reads an artefact and checks every file that its card lists.
 *
 * @throws FairlError `reward.missing` when the folder or a file of it is not there
 * @throws FairlError `reward.unreadable` when there is something else in a file's place
 * @throws FairlError `reward.card` when the card is none, or one of a later version
 * @throws FairlError `reward.changed` when a file is not the one that was saved
 *
 * @example A folder that is none
 * ```ts
 * import { assertRejects } from "@std/assert";
 * import { loadArtefact } from "./artefact.ts";
 * await assertRejects(() => loadArtefact("no-such-folder"), Error, "is no artefact");
 * ```
 */
export async function loadArtefact(folder: string): Promise<Artefact> {
  const card = parseCard(folder, new TextDecoder().decode(await readPart(folder, CARD)));
  const parts: Record<string, Uint8Array<ArrayBuffer>> = {};
  for (const [name, hash] of Object.entries(card.files)) {
    parts[name] = await readPart(folder, name);
    if (sha256(parts[name]) !== hash) {
      throw new FairlError(
        "reward.changed",
        `${join(folder, name)} is not the file that was saved: its SHA-256 differs from the card's`,
      );
    }
  }
  return { folder, model: parts[MODEL_FILE]!, card };
}

async function readPart(folder: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const path = join(folder, name);
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      throw new FairlError(
        "reward.missing",
        name === CARD ? `${folder} is no artefact: it has no ${CARD}` : `${path} is missing`,
        { cause: error },
      );
    }
    throw new FairlError("reward.unreadable", `${path} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function parseCard(folder: string, text: string): Card {
  const path = join(folder, CARD);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FairlError("reward.card", `${path} is no JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const result = cardSchema.safeParse(json);
  if (result.success) return result.data;
  const { path: at, message } = result.error.issues[0]!;
  throw new FairlError("reward.card", `${path}: ${at.join(".") || "the card"}: ${message}`);
}
