/**
 * A training step of a reward head, as irl/ runs it, against the same step in eager PyTorch: batch
 * 256, 512 features, AdamW, pairwise softplus, the pairs' features inside the session. Each side is a
 * process of its own; they take turns, so that what else the machine does meets all of them.
 *
 *     deno run -P=bench bench/step.ts
 */
import { Random } from "../src/base/mod.ts";
import type { PairFeatures } from "../src/irl/data.ts";
import { freshWeights, type PathShape, PathTrainer } from "../src/irl/path.ts";
import { cores, type Device, Runtime } from "../src/runtime/mod.ts";
import { median, print, pythonHas, serve, Side } from "./sides.ts";

/** What both sides train on; the peer reads it from a file. */
const SHAPE = {
  pairs: 4000,
  dimension: 512,
  hidden: 64,
  batch: 256,
  learningRate: 1e-3,
  weightDecay: 0.01,
} as const;

/** Turns of each side, and the steps of a turn: about a tenth of a second. */
const TURNS = 7;
const STEPS: Record<string, number> = { linear: 320, mlp: 96 };

/** Time a step may take, as a part of the peer's. */
const BARS: Record<string, number> = { "linear wasm": 1, "linear native": 0.4, "mlp native": 1 };

const SHAPES: Record<string, PathShape> = {
  linear: { kind: "linear" },
  mlp: { kind: "mlp", hidden: SHAPE.hidden },
};

/** What a side answers: microseconds a step, and the mean loss of the steps. */
interface Turn {
  readonly micros: number;
  readonly loss: number;
}

/** Pairs whose chosen text lies further along one direction, most of the time. */
function syntheticPairs(): PairFeatures {
  const { pairs, dimension } = SHAPE;
  const random = new Random(0, "features");
  const features = Float32Array.from({ length: 2 * pairs * dimension }, () => random.normal());
  for (let pair = 0; pair < pairs; pair++) features[2 * pair * dimension]! += 1;
  return {
    features,
    dimension,
    chosen: Int32Array.from({ length: pairs }, (_, pair) => 2 * pair),
    rejected: Int32Array.from({ length: pairs }, (_, pair) => 2 * pair + 1),
  };
}

/** Pairs of the longest turn in the order of training: one shuffle after the other. */
function trainingOrder(): Int32Array<ArrayBuffer> {
  const random = new Random(0, "order");
  const length = Math.max(...Object.values(STEPS)) * SHAPE.batch;
  const order = new Int32Array(length);
  for (let at = 0; at < length; at += SHAPE.pairs) {
    order.set(random.permutation(SHAPE.pairs).subarray(0, length - at), at);
  }
  return order;
}

/** A side of the comparison, which does one turn for each line that it reads. */
async function answerOn(device: Device, threads: number): Promise<void> {
  const { batch, weightDecay, learningRate, dimension, pairs: count } = SHAPE;
  const pairs = syntheticPairs();
  const order = trainingOrder();
  const terms = {
    offset: new Float32Array(count),
    weight: new Float32Array(count).fill(1),
    sharpness: new Float32Array(count).fill(1),
    ridge: 0,
    outputRidge: 0,
  };
  await using runtime = await Runtime.open(device, { threads });
  const trainers: Record<string, PathTrainer> = {};
  for (const [name, shape] of Object.entries(SHAPES)) {
    const options = { shape, objective: "max-entropy", batch, weightDecay } as const;
    trainers[name] = await PathTrainer.open(runtime, pairs, options);
    await trainers[name].reset(freshWeights(shape, dimension, new Random(0, "weights")));
  }
  print(`fairl ${device}, ${threads} ${threads === 1 ? "thread" : "threads"}`);
  await serve(async (line): Promise<Turn> => {
    const [name, steps] = line.split(" ");
    const piece = order.subarray(0, Number(steps) * batch);
    const started = performance.now();
    const loss = await trainers[name!]!.epoch(piece, terms, learningRate);
    const micros = (performance.now() - started) / Number(steps) * 1000;
    return { micros, loss };
  });
}

async function writeData(folder: string): Promise<void> {
  const { features, chosen, rejected } = syntheticPairs();
  const order = trainingOrder();
  const shape = { ...SHAPE, order: order.length };
  await Deno.writeTextFile(`${folder}/shape.json`, JSON.stringify(shape));
  for (const [name, data] of Object.entries({ features, chosen, rejected, order })) {
    await Deno.writeFile(`${folder}/${name}`, new Uint8Array(data.buffer as ArrayBuffer));
  }
}

/** Runs the sides in turns and prints the medians. */
async function main(): Promise<void> {
  const folder = await Deno.makeTempDir();
  await using sides = new AsyncDisposableStack();
  sides.defer(() => Deno.remove(folder, { recursive: true }));
  await writeData(folder);
  const load = Deno.loadavg()[0]!;
  print(`${cores()} cores, load ${load.toFixed(1)}`);
  // PyTorch's threads wait for each other inside each operator: one that has to wait for a core
  // makes its step tens of times slower, and every ratio too good.
  if (load > cores()) print("Others use the cores: the ratios flatter fairl, run it again later");
  const peer = await pythonHas("torch")
    ? sides.use(new Side("python3", [`${import.meta.dirname}/peers/step.py`, folder]))
    : undefined;
  print(peer ? await peer.line() : "PyTorch cannot be imported here: no peer, no ratios");
  const own = new Map<string, Side>();
  for (const device of ["wasm", "native"]) {
    for (const threads of [...new Set([cores(), 1])]) {
      const side = sides.use(Side.deno([import.meta.filename!, "serve", device, `${threads}`]));
      own.set(await side.line(), side);
    }
  }
  for (const [head, steps] of Object.entries(STEPS)) {
    const rows: { name: string; of: string; side: Side }[] = [];
    if (peer) rows.push({ name: "PyTorch", of: head, side: peer });
    if (peer && head === "linear") {
      rows.push({ name: "PyTorch, differences kept", of: "differences", side: peer });
    }
    for (const [name, side] of own) rows.push({ name, of: head, side });
    // The first turn warms up; from the same start on the same batches it also has the same losses.
    const losses: number[] = [];
    for (const { side, of } of rows) losses.push((await side.ask<Turn>(`${of} ${steps}`)).loss);
    const spread = Math.max(...losses) - Math.min(...losses);
    if (head === "linear" && spread > 1e-3) throw new Error(`the losses differ: ${losses}`);
    const micros = rows.map((): number[] => []);
    for (let turn = 0; turn < TURNS; turn++) {
      for (const [at, { side, of }] of rows.entries()) {
        micros[at]!.push((await side.ask<Turn>(`${of} ${steps}`)).micros);
      }
    }
    print(`\n${head}: microseconds a step, median of ${TURNS} turns of ${steps} steps`);
    const medians = micros.map(median);
    for (const [at, { name }] of rows.entries()) {
      const bar = BARS[`${head} ${/fairl (\w+), (?!1 )/.exec(name)?.[1]}`];
      const ratio = medians[at]! / medians[0]!;
      let line = `  ${name.padEnd(26)} ${medians[at]!.toFixed(0).padStart(6)}`;
      if (peer) line += `  ${ratio.toFixed(2)}x`;
      if (peer && bar) line += ` (bar: ${bar}x) ${ratio <= bar ? "ok" : "MISSED"}`;
      if (peer && bar && ratio > bar) Deno.exitCode = 1;
      print(line);
    }
  }
}

if (import.meta.main) {
  const [mode, device, threads] = Deno.args;
  if (mode === "serve") await answerOn(device as Device, Number(threads));
  else await main();
}
