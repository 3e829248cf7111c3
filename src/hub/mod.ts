/** Files of models, as the Hugging Face hub has them. */
export { type Checkpoint, type WeightTensor } from "./checkpoint.ts";
export { type GgufFile, openGguf } from "./gguf.ts";
export {
  openSafetensors,
  openShards,
  readSafetensors,
  shardsOf,
  writeSafetensors,
} from "./safetensors.ts";
