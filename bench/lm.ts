/**
 * The tiny language model that ships, against its peers in one run: training steps against PyTorch and
 * TensorFlow.js, each beside its own matrix product on this machine, and writing against transformers.js
 * on the same weights. Each side is a process of its own; they take turns.
 *
 *     deno task bench lm
 *     deno run --lock=test/deno.lock -P=bench bench/lm.ts [train|write]
 */
import { Random } from "../src/base/mod.ts";
import { adamW, encodeModel } from "../src/graph/mod.ts";
import {
  type DecoderConfig,
  fullWeights,
  Generator,
  LanguageTrainer,
  loadModel,
  type PackedRows,
} from "../src/lm/mod.ts";
import { cores, Runtime, tensor } from "../src/runtime/mod.ts";
import { exportLlama } from "./peers/llama_onnx.ts";
import { median, print, pythonHas, serve, Side } from "./sides.ts";

const MODEL = `${import.meta.dirname}/../models/comments-base`;
const PEERS = `${import.meta.dirname}/peers`;

/** A training step: rows of texts that fill them, AdamW, the gradient's norm clipped to 1. */
export const TRAINING = { rows: 8, length: 127, learningRate: 1e-4 } as const;
const STEPS = 3;
const TRAINING_TURNS = 5;
/** Tokens a second, as a part of the peer's. */
const TRAINING_BARS = { "wasm / TensorFlow.js": 1, "native / PyTorch": 0.7 };

/** Tokens of a prompt and after it, and the turns of a batch size. */
const PROMPT = 6;
const NEW = 32;
const WRITING_TURNS = 11;

/** What a side that trains answers to a number of steps. */
export interface Trained {
  readonly millis: number;
  /** Loss of the steps before they moved anything. */
  readonly losses: readonly number[];
}

/** What a side that writes is asked. */
export interface WritingJob {
  /** Tokens, all of one length. */
  readonly prompts: readonly number[][];
  /** New tokens of each. */
  readonly count: number;
  /** 0 takes the likeliest. */
  readonly temperature: number;
}

/** What it answers. */
export interface Written {
  readonly millis: number;
  readonly tokens: readonly number[][];
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

async function train(runtime: Runtime): Promise<void> {
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

async function write(runtime: Runtime): Promise<void> {
  const { config, weights } = await loadModel(MODEL);
  const generators = new Map<number, Generator>();
  await serve(async (line) => {
    const { prompts, count, temperature } = JSON.parse(line) as WritingJob;
    const rows = prompts.length;
    const generator = generators.get(rows) ??
      await Generator.open(runtime, { ...config, eos: -1 }, weights, {
        rows,
        capacity: PROMPT + NEW,
      });
    generators.set(rows, generator);
    const tokens = prompts.map((prompt) => Int32Array.from(prompt));
    const started = performance.now();
    const found = await generator.generate(tokens, { maxTokens: count, temperature });
    const millis = performance.now() - started;
    return { millis, tokens: found.map(({ tokens }) => [...tokens]) } satisfies Written;
  });
}

/** A peer, or a line that says why there is none. */
async function peerOf(name: string, start: () => Side): Promise<Side | undefined> {
  const side = start();
  try {
    print(`  ${await side.line()}`);
    return side;
  } catch {
    print(`  ${name} cannot be imported here: no peer, no ratio`);
    await side[Symbol.asyncDispose]().catch(() => {});
    return undefined;
  }
}

function own(part: string, device: string, threads: number): Side {
  return Side.deno([import.meta.filename!, part, device, `${threads}`]);
}

function verdict(name: string, ratio: number, bar: number): void {
  print(`  ${name}: ${ratio.toFixed(2)}x (bar: ${bar}x) ${ratio >= bar ? "ok" : "MISSED"}`);
  if (ratio < bar) Deno.exitCode = 1;
}

/** FLOP of a training step for each token: twice for each weight forward, four times backward. */
function flopOf(
  { width, heads, keyValueHeads, headSize, feedWidth, layers, vocabulary }: DecoderConfig,
) {
  const attention = width * headSize * (2 * heads + 2 * keyValueHeads);
  const seen = 2 * heads * headSize * TRAINING.length;
  return 6 * (layers * (attention + 3 * width * feedWidth + seen) + width * vocabulary);
}

async function compareTraining(): Promise<void> {
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
    ["wasm", own("train", "wasm", cores())],
    ["wasm, 1 thread", own("train", "wasm", 1)],
    ["native", own("train", "native", cores())],
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
  for (let turn = 0; turn < TRAINING_TURNS; turn++) {
    for (const [at, [, side]] of rows.entries()) {
      millis[at]!.push((await side.ask<Trained>(`${STEPS}`)).millis / STEPS);
      peaks[at] = Math.max(peaks[at]!, await side.ask<number>("peak"));
    }
  }
  const rate = new Map<string, number>();
  print(`  medians of ${TRAINING_TURNS} turns of ${STEPS} steps:`);
  for (const [at, [name]] of rows.entries()) {
    const tokens = TRAINING.rows * TRAINING.length / median(millis[at]!) * 1000;
    const gflops = tokens * flopOf(config) / 1e9;
    rate.set(name, tokens);
    print(
      `  ${name.padEnd(16)} ${tokens.toFixed(0).padStart(6)} tokens/s ` +
        `${gflops.toFixed(1).padStart(6)} GFLOP/s, its matrix product ` +
        `${peaks[at]!.toFixed(0)} GFLOP/s (${(100 * gflops / peaks[at]!).toFixed(0)} % of it)`,
    );
  }
  for (const [pair, bar] of Object.entries(TRAINING_BARS)) {
    const [one, other] = pair.split(" / ").map((name) => rate.get(name));
    if (one && other) verdict(pair, one / other, bar);
  }
}

async function compareWriting(): Promise<void> {
  const { config, weights, tokenizer } = await loadModel(MODEL);
  const folder = await Deno.makeTempDir();
  await using sides = new AsyncDisposableStack();
  sides.defer(() => Deno.remove(folder, { recursive: true }));
  await exportLlama(`${folder}/model`, config, weights);
  const file = `${import.meta.dirname}/../models/prompts.json`;
  const texts: string[] = JSON.parse(await Deno.readTextFile(file));
  const prompts = texts.map((text) => [config.bos, ...tokenizer.encode(text)])
    .filter(({ length }) => length === PROMPT);
  print(`\nwriting: ${NEW} tokens after prompts of ${PROMPT}`);
  for (const device of ["wasm", "native"] as const) {
    const peer = await peerOf(
      "transformers.js",
      () => Side.deno([`${PEERS}/generate.ts`, device, `${cores()}`, folder], "--no-lock"),
    );
    const ours = sides.use(own("write", device, cores()));
    if (peer) sides.use(peer);
    for (const batch of [1, 32]) {
      for (const temperature of [0, 0.7]) {
        const job = (turn: number): string =>
          JSON.stringify(
            {
              prompts: Array.from(
                { length: batch },
                (_, at) => prompts[(turn * batch + at) % prompts.length]!,
              ),
              count: NEW,
              temperature,
            } satisfies WritingJob,
          );
        // Warm, and when greedy to the same tokens.
        for (let turn = 0; turn < (batch === 1 ? 12 : 3); turn++) {
          const a = await ours.ask<Written>(job(turn));
          const b = await peer?.ask<Written>(job(turn));
          if (b && temperature === 0 && JSON.stringify(a.tokens) !== JSON.stringify(b.tokens)) {
            throw new Error(`other tokens:\n${a.tokens.join("\n")}\nnot\n${b.tokens.join("\n")}`);
          }
        }
        const ratios: number[] = [];
        const millis: number[] = [];
        for (let turn = 0; turn < WRITING_TURNS; turn++) {
          const repeats = batch === 1 ? 10 : 1;
          let [own, other] = [0, 0];
          for (let at = 0; at < repeats; at++) own += (await ours.ask<Written>(job(turn))).millis;
          if (peer) {
            for (let at = 0; at < repeats; at++) {
              other += (await peer.ask<Written>(job(turn))).millis;
            }
          }
          millis.push(own / repeats);
          ratios.push(other / own);
        }
        const rate = (time: number) => (batch * NEW / time * 1000).toFixed(0).padStart(6);
        const how = temperature === 0 ? "greedy" : `temperature ${temperature}`;
        const name = `${device}, batch ${batch}, ${how}`.padEnd(34);
        const own = median(millis);
        print(`  ${name} ${rate(own)} tokens/s`);
        if (!peer) continue;
        const ratio = median(ratios);
        print(`  ${"transformers.js".padEnd(34)} ${rate(own * ratio)} tokens/s`);
        verdict(`${device}, batch ${batch}, ${how}`, ratio, 1);
      }
    }
  }
}

async function main(): Promise<void> {
  const [part, device, threads] = Deno.args;
  if (device) {
    await using runtime = await Runtime.open(device as "wasm", { threads: Number(threads) });
    await (part === "train" ? train(runtime) : write(runtime));
    return;
  }
  const load = Deno.loadavg()[0]!;
  print(`${cores()} cores, load ${load.toFixed(1)}`);
  if (load > cores()) print("Others use the cores: the ratios may be off, run it again later");
  if (part !== "write") await compareTraining();
  if (part !== "train") await compareWriting();
}

if (import.meta.main) await main();
