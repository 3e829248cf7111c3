/** fairl: finds the reward that alignment left behind in a language model. */
export { FairlError, Random } from "./src/base/mod.ts";
