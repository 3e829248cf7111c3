/** Writing with the shipped language model against transformers.js on the same weights: a part of bench/lm.ts. */
import { Generator, loadModel } from "../src/lm/mod.ts";
import { cores, Runtime } from "../src/runtime/mod.ts";
import { exportLlama } from "./peers/llama_onnx.ts";
import { median, peerOf, print, serve, Side, Table, verdict } from "./sides.ts";

const MODEL = `${import.meta.dirname}/../models/comments-base`;
const PEERS = `${import.meta.dirname}/peers`;

/** Tokens of a prompt and after it, and the turns of a batch size. */
const PROMPT = 6;
const NEW = 32;
const TURNS = 11;

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

async function answer(device: "wasm" | "native", threads: number): Promise<void> {
  await using runtime = await Runtime.open(device, { threads });
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

/** Runs the sides in turns. */
export async function compareWriting(): Promise<string> {
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
  const table = new Table([
    `writing, ${cores()} cores`,
    "tokens/s",
    "transformers.js, tokens/s",
    "ratio",
    "bar",
  ]);
  for (const device of ["wasm", "native"] as const) {
    const peer = await peerOf(
      "transformers.js",
      () => Side.deno([`${PEERS}/generate.ts`, device, `${cores()}`, folder], "--no-lock"),
    );
    const ours = sides.use(own(device, cores()));
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
        for (let turn = 0; turn < TURNS; turn++) {
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
        const rate = (time: number) => (batch * NEW / time * 1000).toFixed(0);
        const how = temperature === 0 ? "greedy" : `temperature ${temperature}`;
        const [own, ratio] = [median(millis), median(ratios)];
        table.row(
          `${device}, batch ${batch}, ${how}`,
          rate(own),
          peer ? rate(own * ratio) : "",
          peer ? ratio.toFixed(2) : "",
          peer ? verdict(ratio, 1) : "",
        );
      }
    }
  }
  return `${table.markdown}
${NEW} tokens after prompts of ${PROMPT}; medians of ${TURNS} turns. The peer runs an export in the form of onnxruntime-genai's
builder (GroupQueryAttention, packed projections, logits of the last token alone); greedy tokens are
checked to be equal before anything is timed. Beside wasm it runs fairl's own build of onnxruntime-web, beside
native its default, onnxruntime-node.
`;
}

function own(device: string, threads: number): Side {
  return Side.deno([import.meta.filename!, device, `${threads}`]);
}

if (import.meta.main) await answer(Deno.args[0] as "wasm" | "native", Number(Deno.args[1]));
