/**
 * The tiny language model that ships, against its peers in one run: training steps against PyTorch and
 * TensorFlow.js, each beside its own matrix product on this machine, and writing against transformers.js
 * on the same weights. Each side is a process of its own; they take turns. Writes its table to
 * bench/results/lm/table.md.
 *
 *     deno task bench lm
 *     deno run --lock=test/deno.lock -P=bench bench/lm.ts [train|write]
 */
import { cores } from "../src/runtime/mod.ts";
import { compareTraining } from "./lm_train.ts";
import { compareWriting } from "./lm_write.ts";
import { print } from "./sides.ts";

const RESULTS = `${import.meta.dirname}/results/lm`;

/** The processor's name, where the system tells it. */
async function processor(): Promise<string> {
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return /model name\s*: (.*)/.exec(info)?.[1] ?? Deno.build.arch;
}

const [part] = Deno.args;
const load = Deno.loadavg()[0]!;
const machine = `${cores()} cores (${await processor()}), load ${load.toFixed(1)} before it`;
print(machine);
if (load > cores()) print("Others use the cores: the ratios may be off, run it again later");
const training = part === "write" ? "" : await compareTraining();
const writing = part === "train" ? "" : await compareWriting();
if (!part) {
  await Deno.mkdir(RESULTS, { recursive: true });
  const text =
    `The shipped base model (1.8 million parameters) against its peers, by \`deno task bench lm\`.
Each side is a process of its own and they take turns; rates are medians of turns, ratios medians of the
ratios within a turn. ${machine}.

${training}
${writing}`;
  await Deno.writeTextFile(`${RESULTS}/table.md`, text);
}
