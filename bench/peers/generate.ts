/**
 * The peer of bench/lm.ts that writes: transformers.js on the same weights, with onnxruntime-web's build
 * that fairl uses ("wasm") or its own default, onnxruntime-node ("native").
 *
 * Started with the device, the threads and the folder of the exported model; answers each line, a batch
 * of prompts and a number of new tokens as JSON, with the milliseconds it took and the new tokens.
 */
import { print, serve } from "../sides.ts";
import type { WritingJob, Written } from "../lm_write.ts";

/** Named here and not in deno.json: it brings onnxruntime-node, which nothing else may fetch. */
const PACKAGE = "npm:@huggingface/transformers@4.3.1";
const WEB = "npm:onnxruntime-web@1.30.0";

/** What is used of it. */
interface Library {
  readonly env: {
    localModelPath: string;
    allowRemoteModels: boolean;
    useWasmCache: boolean;
    readonly version: string;
  };
  readonly AutoModelForCausalLM: {
    from_pretrained(name: string, options: Record<string, unknown>): Promise<{
      generate(options: Record<string, unknown>): Promise<{ tolist(): bigint[][] }>;
    }>;
  };
  readonly Tensor: new (type: string, data: BigInt64Array, dims: number[]) => unknown;
}

const [device, threads, folder] = Deno.args as ["wasm" | "native", string, string];
let build = "onnxruntime-node, its default";
let restore = () => {};
if (device === "wasm") {
  const web = await import(WEB);
  const ort = web.InferenceSession ? web : web.default;
  ort.env.wasm.numThreads = Number(threads);
  (globalThis as Record<symbol, unknown>)[Symbol.for("onnxruntime")] = ort;
  build = "onnxruntime-web 1.30.0";
  // It points to a web server when it is imported.
  const { wasmPaths } = ort.env.wasm;
  restore = () => ort.env.wasm.wasmPaths = wasmPaths;
}
const { env, AutoModelForCausalLM, Tensor }: Library = await import(PACKAGE);
restore();
env.useWasmCache = false;
env.localModelPath = folder;
env.allowRemoteModels = false;
const model = await AutoModelForCausalLM.from_pretrained("model", {
  dtype: "fp32",
  local_files_only: true,
  session_options: {
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    ...(device === "wasm" ? { executionProviders: ["wasm"] } : {}),
  },
  // Any other is refused beside a runtime of one's own.
  ...(device === "wasm" ? { device: "auto" } : {}),
});
print(`transformers.js ${env.version}, ${build}, ${threads} threads`);
await serve(async (line): Promise<Written> => {
  const { prompts, count, temperature } = JSON.parse(line) as WritingJob;
  const dims = [prompts.length, prompts[0]!.length];
  const started = performance.now();
  const found = await model.generate({
    input_ids: new Tensor("int64", BigInt64Array.from(prompts.flat(), BigInt), dims),
    attention_mask: new Tensor("int64", new BigInt64Array(dims[0]! * dims[1]!).fill(1n), dims),
    max_new_tokens: count,
    // No token ends a text, so that both sides write as many.
    eos_token_id: null,
    do_sample: temperature > 0,
    ...(temperature > 0 ? { temperature, top_k: 0 } : {}),
  });
  const millis = performance.now() - started;
  const tokens = found.tolist().map((row) => row.slice(dims[1]).map(Number));
  return { millis, tokens };
});
