/** Files of models, as the Hugging Face hub has them. */
export { readSafetensors, type WeightTensor, writeSafetensors } from "./safetensors.ts";
