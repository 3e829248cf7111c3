/** Training steps of the shipped language model against PyTorch and TensorFlow.js: a part of bench/lm.ts. */
import { Random } from "../src/base/mod.ts";
import { adamW, encodeModel } from "../src/graph/mod.ts";
import {
  type DecoderConfig,
  fullWeights,
  LanguageTrainer,
  loadModel,
  type PackedRows,
} from "../src/lm/mod.ts";
import { cores, Runtime, tensor } from "../src/runtime/mod.ts";
import { median, peerOf, print, pythonHas, serve, Side, Table, verdict } from "./sides.ts";

const MODEL = `${import.meta.dirname}/../models/comments-base`;
const PEERS = `${import.meta.dirname}/peers`;

/** A training step: rows of texts that fill them, AdamW, the gradient's norm clipped to 1. */
export const TRAINING = { rows: 8, length: 127, learningRate: 1e-4 } as const;
const STEPS = 3;
const TURNS = 5;
/** Tokens a second, as a part of the peer's. */
const BARS: Record<string, readonly [peer: string, bar: number]> = {
  wasm: ["TensorFlow.js", 1],
  native: ["PyTorch", 0.7],
};

/** What a side that trains answers to a number of steps. */
export interface Trained {
  readonly millis: number;
  /** Loss of the steps before they moved anything. */
  readonly losses: readonly number[];
}

/** Sides of the matrix product that shows what a library reaches on this machine. */
export const PRODUCT = { m: 1024, k: 512, n: 1536 } as const;

/** GFLOP/s of the fastest of some products. */
export async function bestRate(product: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let run = 0; run < 10; run++) {
    const started = performance.now();
    await product();
    best = Math.min(best, performance.now() - started);
  }
  return 2 * PRODUCT.m * PRODUCT.k * PRODUCT.n / best / 1e6;
}

/** Rows of tokens, one text each: the same for every side. */
export function trainingRows(vocabulary: number): PackedRows {
  const { rows, length } = TRAINING;
  const random = new Random(0, "rows");
  const count = rows * (length + 1);
  return {
    tokens: Int32Array.from({ length: count }, () => random.integer(vocabulary)),
    texts: new Int32Array(count).fill(1),
    rows,
    length,
  };
}

async function answer(device: "wasm" | "native", threads: number): Promise<void> {
  await using runtime = await Runtime.open(device, { threads });
  const { config, weights } = await loadModel(MODEL);
  const packed = trainingRows(config.vocabulary);
  const trainer = await LanguageTrainer.open(runtime, fullWeights(config, weights), {
    ...TRAINING,
    optimizer: adamW({ weightDecay: 0 }),
  });
  const { m, k, n } = PRODUCT;
  const values = (size: number) => Float32Array.from({ length: size }, (_, at) => Math.sin(at));
  const product = await runtime.session(encodeModel({
    name: "product",
    nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
    initializers: { w: tensor("float32", [k, n], values(k * n)) },
    inputs: [{ name: "x", type: "float32", dims: [m, k] }],
    outputs: [{ name: "y", type: "float32", dims: [m, n] }],
  }));
  const x = tensor("float32", [m, k], values(m * k));
  const all = Array.from({ length: TRAINING.rows }, (_, row) => row);
  await serve(async (line) => {
    if (line === "peak") return await bestRate(() => product.run({ x }));
    const losses: number[] = [];
    const started = performance.now();
    for (let step = 0; step < Number(line); step++) {
      losses.push(await trainer.step(packed, all, TRAINING.learningRate));
    }
    return { millis: performance.now() - started, losses } satisfies Trained;
  });
}

/** FLOP of a training step for each token: twice for each weight forward, four times backward. */
function flopOf(
  { width, heads, keyValueHeads, headSize, feedWidth, layers, vocabulary }: DecoderConfig,
) {
  const attention = width * headSize * (2 * heads + 2 * keyValueHeads);
  const seen = 2 * heads * headSize * TRAINING.length;
  return 6 * (layers * (attention + 3 * width * feedWidth + seen) + width * vocabulary);
}

/** Runs the sides in turns. */
export async function compareTraining(): Promise<string> {
  const { config, weights } = await loadModel(MODEL);
  const folder = await Deno.makeTempDir();
  await using sides = new AsyncDisposableStack();
  sides.defer(() => Deno.remove(folder, { recursive: true }));
  const bytes = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array) =>
    new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
  await Deno.writeFile(`${folder}/tokens`, bytes(trainingRows(config.vocabulary).tokens));
  for (const [name, { data }] of Object.entries(weights)) {
    await Deno.writeFile(`${folder}/${name}`, bytes(data));
  }
  const shapes = Object.fromEntries(
    Object.entries(weights).map(([name, { dims }]) => [name, dims]),
  );
  await Deno.writeTextFile(
    `${folder}/shape.json`,
    JSON.stringify({
      ...config,
      ...TRAINING,
      rowLength: TRAINING.length,
      product: PRODUCT,
      shapes,
    }),
  );

  print(`\ntraining: steps of ${TRAINING.rows} rows of ${TRAINING.length} tokens`);
  const found: [string, Side | undefined][] = [
    [
      "PyTorch",
      await pythonHas("torch")
        ? await peerOf("PyTorch", () => new Side("python3", [`${PEERS}/lm_train.py`, folder]))
        : (print("  PyTorch cannot be imported here: no peer, no ratio"), undefined),
    ],
    [
      "TensorFlow.js",
      await peerOf(
        "TensorFlow.js",
        () => Side.deno([`${PEERS}/lm_train.ts`, folder], "--no-lock"),
      ),
    ],
    ["wasm", own("wasm", cores())],
    ["wasm, 1 thread", own("wasm", 1)],
    ["native", own("native", cores())],
  ];
  const rows = found.filter((row): row is [string, Side] => row[1] !== undefined);
  for (const [, side] of rows) sides.use(side);
  // The first turn warms up, and starts from the same weights: its losses are to agree.
  const losses: number[] = [];
  for (const [, side] of rows) losses.push((await side.ask<Trained>("2")).losses[1]!);
  const spread = Math.max(...losses) - Math.min(...losses);
  if (!(spread < 2e-3)) throw new Error(`the losses of the second step differ: ${losses}`);
  const millis = rows.map((): number[] => []);
  const peaks = rows.map(() => 0);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [at, [, side]] of rows.entries()) {
      millis[at]!.push((await side.ask<Trained>(`${STEPS}`)).millis / STEPS);
      peaks[at] = Math.max(peaks[at]!, await side.ask<number>("peak"));
    }
  }
  const table = new Table([
    `training, ${cores()} cores`,
    "tokens/s",
    "GFLOP/s",
    "its matrix product, GFLOP/s",
    "ratio",
    "bar",
  ]);
  const names = rows.map(([name]) => name);
  for (const [at, name] of names.entries()) {
    const tokens = TRAINING.rows * TRAINING.length / median(millis[at]!) * 1000;
    const gflops = tokens * flopOf(config) / 1e9;
    const part = (100 * gflops / peaks[at]!).toFixed(0);
    const [peer, bar] = BARS[name] ?? [];
    const other = peer === undefined ? -1 : names.indexOf(peer);
    const ratio = median(millis[at]!.map((own, turn) => millis[other]?.[turn]! / own));
    table.row(
      name,
      tokens.toFixed(0),
      gflops.toFixed(1),
      `${peaks[at]!.toFixed(0)} (${part} % of it)`,
      other < 0 ? "" : `${ratio.toFixed(2)} of ${peer}`,
      other < 0 ? "" : verdict(ratio, bar!),
    );
  }
  const { rows: count, length } = TRAINING;
  const peers = rows.map(([, side]) => side.head).filter((head) => head);
  return `${table.markdown}
Steps of ${count} rows of ${length} tokens, AdamW, the gradient clipped; medians of ${TURNS} turns of ${STEPS} steps. All sides start
from the same weights, and their losses agree after a step. ${
    peers.join("; ")
  }. TensorFlow.js has no
other fast backend in Deno: its plain JavaScript one reaches a part of a GFLOP/s, and its native
binding fetches its library from elsewhere than npm.
`;
}

function own(device: string, threads: number): Side {
  return Side.deno([import.meta.filename!, device, `${threads}`]);
}

if (import.meta.main) await answer(Deno.args[0] as "wasm" | "native", Number(Deno.args[1]));
