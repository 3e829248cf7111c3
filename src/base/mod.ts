/** What every room may use: errors, seeded randomness, hashes, whole files, checkpoints, progress. */
export { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
export { FairlError, messageOf } from "./error.ts";
export { writeFileAtomic, writeFolderAtomic } from "./files.ts";
export { sha256, sha256OfFile } from "./hash.ts";
export { type Progress, silent } from "./progress.ts";
export { Random } from "./random.ts";
