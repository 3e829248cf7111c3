/**
 * The whole job against the same walk in Python: `fairl train --pairs paradetox` from cold feature caches,
 * processes and start-up included. Each side runs three times, in turns; medians and their ratios are printed.
 *
 *     deno task bench whole
 *     deno run --lock=test/deno.lock -P=bench bench/whole.ts [device,...] [turns]
 */
import { basename, join } from "@std/path";
import { z } from "zod";
import { readUseLite } from "../src/encode/use_lite_files.ts";
import { useLiteModel } from "../src/encode/use_lite_graph.ts";
import { defaultSettings } from "../src/irl/mod.ts";
import { fetchSource } from "../src/pairs/mod.ts";
import { cores } from "../src/runtime/mod.ts";

const OBJECTIVE = "max-entropy";

/** What a run tells of itself. */
interface Run {
  /** From the start of the process to its end. */
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, Figures>>;
}

const Figures = z.object({ pairAccuracy: z.number(), rocAuc: z.number(), starc: z.number() });
type Figures = z.infer<typeof Figures>;

const Peer = z.object({
  seconds: z.record(z.string(), z.number()),
  figures: z.record(z.string(), Figures),
  with: z.string(),
});

const Value = z.object({ value: z.number() }).transform(({ value }) => value);
const Summary = z.object({
  test: z.record(
    z.string(),
    z.object({ pairAccuracy: Value, rocAuc: Value, starc: Value }),
  ),
  seconds: z.object({ encode: z.number(), train: z.number(), total: z.number() }),
});

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

async function importable(modules: string): Promise<boolean> {
  try {
    const args = ["-c", `import ${modules}`];
    return (await new Deno.Command("python3", { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** Runs a process to its end. */
async function timed(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ total: number; text: string }> {
  const started = performance.now();
  const process = new Deno.Command(command, { args: [...args], env, stderr: "piped" });
  const { success, stdout, stderr } = await process.output();
  const total = (performance.now() - started) / 1000;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return { total, text: new TextDecoder().decode(stdout) };
}

async function fairl(device: string, sources: string): Promise<Run> {
  const folder = await Deno.makeTempDir();
  const out = join(folder, "reward");
  try {
    const { total, text } = await timed(Deno.execPath(), [
      ...["run", "--lock=test/deno.lock", "-P=bench", "--quiet", "src/cli.ts"],
      ...["train", "--pairs", "paradetox", "--device", device, "--objective", OBJECTIVE],
      ...["--out", out, "--json"],
    ], { FAIRL_CACHE: join(folder, "cache"), FAIRL_MIRROR: sources });
    const { seconds, test } = Summary.parse(JSON.parse(text));
    const parts = {
      "start and end": total - seconds.total,
      "encode": seconds.encode,
      "train": seconds.train,
      "read, judge, write": seconds.total - seconds.encode - seconds.train,
    };
    return { total, parts, figures: test };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function python(folder: string): Promise<Run> {
  const { total, text } = await timed("python3", [
    join(import.meta.dirname!, "peers/whole.py"),
    folder,
  ]);
  const { seconds, figures } = Peer.parse(JSON.parse(text));
  const { encode, train, read, judge, imports } = seconds;
  const inside = Object.values(seconds).reduce((sum, part) => sum + part, 0);
  return {
    total,
    parts: {
      "start and end": total - inside + imports!,
      "encode": encode!,
      "train": train!,
      "read, judge, write": read! + judge!,
    },
    figures,
  };
}

/** The encoder as files, the settings and the sources: what the peer is given. */
async function writeTask(folder: string, sources: string): Promise<void> {
  const files = await readUseLite();
  await Deno.writeFile(join(folder, "encoder.onnx"), useLiteModel(files));
  const place = async (name: "paradetox" | "davidson") => {
    const { path } = await fetchSource(name);
    const copy = join(sources, basename(path));
    await Deno.copyFile(path, copy);
    return copy;
  };
  const [paradetox, davidson] = [await place("paradetox"), await place("davidson")];
  const settings = defaultSettings(OBJECTIVE, 0);
  const write = (name: string, value: unknown) =>
    Deno.writeTextFile(join(folder, name), JSON.stringify(value));
  await write("vocabulary.json", files.vocabulary);
  await write("task.json", { paradetox, davidson, settings });
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function main(devices: readonly string[], turns: number): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const sources = join(folder, "sources");
    await Deno.mkdir(sources);
    await writeTask(folder, sources);
    const load = Deno.loadavg()[0]!;
    print(`${cores()} cores, load ${load.toFixed(1)}; ParaDetox, ${OBJECTIVE}, features cold`);
    const sides = new Map<string, () => Promise<Run>>();
    const peer = await importable("torch, onnxruntime, tokenizers");
    if (peer) sides.set("Python", () => python(folder));
    else print("torch, onnxruntime and tokenizers cannot be imported here: no peer, no ratio");
    for (const device of devices) sides.set(`fairl, ${device}`, () => fairl(device, sources));
    const runs = new Map([...sides.keys()].map((name) => [name, [] as Run[]]));
    for (let turn = 0; turn < turns; turn++) {
      for (const [name, run] of sides) runs.get(name)!.push(await run());
    }
    const of = (name: string) => median(runs.get(name)!.map(({ total }) => total));
    const parts = Object.keys(runs.values().next().value![0]!.parts);
    print(`\nseconds, median of ${turns} turns\n`);
    print(
      `| | whole | ratio | ${parts.join(" | ")} |\n|---|---|---|${
        parts.map(() => "---|").join("")
      }`,
    );
    for (const [name, own] of runs) {
      const each = parts.map((part) => median(own.map((run) => run.parts[part]!)).toFixed(1));
      const ratio = peer ? `${(of(name) / of("Python")).toFixed(2)}x` : "";
      print(`| ${name} | ${of(name).toFixed(1)} | ${ratio} | ${each.join(" | ")} |`);
    }
    print(`\npairs right / ROC-AUC / STARC on the test pairs of a split of each side's own\n`);
    const methods = ["irl", "irl-tuned", "control", "fa-irl"];
    print(`| | ${methods.join(" | ")} |\n|---|${methods.map(() => "---|").join("")}`);
    for (const [name, own] of runs) {
      const cells = methods.map((method) => {
        const { pairAccuracy, rocAuc, starc } = own[0]!.figures[method]!;
        return [pairAccuracy, rocAuc, starc].map((figure) => figure.toFixed(3)).join(" / ");
      });
      print(`| ${name} | ${cells.join(" | ")} |`);
    }
    print(
      "\nfairl also computes bootstrap intervals and calibration, keeps its features, and writes the " +
        "artefact and its plots; Python does not.",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [devices = "native,wasm", turns = "3"] = Deno.args;
  await main(devices.split(","), Number(turns));
}
