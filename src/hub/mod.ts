/** Files of models, as the Hugging Face hub has them. */
export { type Checkpoint, type WeightTensor } from "./checkpoint.ts";
export { download, type DownloadOptions } from "./download.ts";
export { type GgufFile, openGguf } from "./gguf.ts";
export {
  folderFiles,
  hubFiles,
  type HubPlaces,
  isHubName,
  type ModelFiles,
} from "./model_files.ts";
export {
  openSafetensors,
  openShards,
  readSafetensors,
  shardsOf,
  writeSafetensors,
} from "./safetensors.ts";
