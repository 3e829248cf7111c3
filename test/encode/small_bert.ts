/** A BERT with random weights, its safetensors file, and its forward pass token by token. */
import type { Random } from "../../src/base/mod.ts";

const WIDTH = 8;
const HIDDEN = 12;
const HEADS = 2;
const LAYERS = 2;
const POSITIONS = 16;

/** The model. */
export interface SmallBert {
  readonly config: {
    hidden_size: number;
    num_attention_heads: number;
    num_hidden_layers: number;
    max_position_embeddings: number;
    layer_norm_eps: number;
  };
  readonly weights: ReadonlyMap<string, { dims: number[]; data: Float32Array<ArrayBuffer> }>;
  /** The word embeddings [words, width]. */
  readonly table: Float32Array<ArrayBuffer>;
  readonly safetensors: Uint8Array<ArrayBuffer>;
}

/** Draws a model for a vocabulary. */
export function smallBert(random: Random, words: number): SmallBert {
  const weights = new Map<string, { dims: number[]; data: Float32Array<ArrayBuffer> }>();
  const add = (name: string, ...dims: number[]) =>
    weights.set(name, { dims, data: random.normals(dims.reduce((a, b) => a * b), 0.5) });
  const layer = (name: string, outputs: number, inputs: number) => {
    add(`${name}.weight`, outputs, inputs);
    add(`${name}.bias`, outputs);
  };
  const norm = (name: string) => {
    add(`${name}.weight`, WIDTH);
    add(`${name}.bias`, WIDTH);
  };
  add("embeddings.word_embeddings.weight", words, WIDTH);
  add("embeddings.position_embeddings.weight", POSITIONS, WIDTH);
  add("embeddings.token_type_embeddings.weight", 2, WIDTH);
  norm("embeddings.LayerNorm");
  for (let at = 0; at < LAYERS; at++) {
    const prefix = `encoder.layer.${at}`;
    for (const part of ["query", "key", "value"]) {
      layer(`${prefix}.attention.self.${part}`, WIDTH, WIDTH);
    }
    layer(`${prefix}.attention.output.dense`, WIDTH, WIDTH);
    norm(`${prefix}.attention.output.LayerNorm`);
    layer(`${prefix}.intermediate.dense`, HIDDEN, WIDTH);
    layer(`${prefix}.output.dense`, WIDTH, HIDDEN);
    norm(`${prefix}.output.LayerNorm`);
  }
  return {
    config: {
      hidden_size: WIDTH,
      num_attention_heads: HEADS,
      num_hidden_layers: LAYERS,
      max_position_embeddings: POSITIONS,
      layer_norm_eps: 1e-12,
    },
    weights,
    table: weights.get("embeddings.word_embeddings.weight")!.data,
    safetensors: writeSafetensors(weights),
  };
}

function writeSafetensors(weights: SmallBert["weights"]): Uint8Array<ArrayBuffer> {
  let at = 0;
  const head: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (const [name, { dims, data }] of weights) {
    head[name] = { dtype: "F32", shape: dims, data_offsets: [at, at += data.byteLength] };
  }
  const json = new TextEncoder().encode(JSON.stringify(head));
  const file = new Uint8Array(8 + json.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  at = 8 + json.length;
  for (const { data } of weights.values()) {
    file.set(new Uint8Array(data.buffer), at);
    at += data.byteLength;
  }
  return file;
}

/** The states of one text's tokens [tokens, width], in double precision. */
export function bertStates({ weights }: SmallBert, ids: readonly number[]): Float32Array {
  const get = (name: string) => weights.get(name)!.data;
  const row = (name: string, at: number) => [...get(name).subarray(at * WIDTH, (at + 1) * WIDTH)];
  const plus = (a: number[], b: number[]) => a.map((value, at) => value + b[at]!);
  const dense = (name: string, x: number[]) => {
    const weight = get(`${name}.weight`);
    return [...get(`${name}.bias`)].map((bias, output) =>
      x.reduce((sum, value, input) => sum + value * weight[output * x.length + input]!, bias)
    );
  };
  const norm = (name: string, x: number[]) => {
    const mean = x.reduce((a, b) => a + b) / x.length;
    const deviation = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length);
    const [scale, bias] = [get(`${name}.weight`), get(`${name}.bias`)];
    return x.map((value, at) => (value - mean) / deviation * scale[at]! + bias[at]!);
  };
  let states = ids.map((id, at) =>
    norm(
      "embeddings.LayerNorm",
      plus(
        plus(
          row("embeddings.word_embeddings.weight", id),
          row("embeddings.position_embeddings.weight", at),
        ),
        row("embeddings.token_type_embeddings.weight", 0),
      ),
    )
  );
  for (let layer = 0; layer < LAYERS; layer++) {
    const prefix = `encoder.layer.${layer}`;
    const [query, key, value] = ["query", "key", "value"].map((part) =>
      states.map((state) => dense(`${prefix}.attention.self.${part}`, state))
    );
    states = states.map((state, at) => {
      const size = WIDTH / HEADS;
      const mixed = new Array<number>(WIDTH).fill(0);
      for (let head = 0; head < HEADS; head++) {
        const part = (x: number[]) => x.slice(head * size, (head + 1) * size);
        const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
        const scores = key!.map((k) => Math.exp(dot(part(query![at]!), part(k)) / Math.sqrt(size)));
        const total = scores.reduce((a, b) => a + b);
        scores.forEach((score, other) =>
          part(value![other]!).forEach((x, i) => mixed[head * size + i]! += score / total * x)
        );
      }
      const output = dense(`${prefix}.attention.output.dense`, mixed);
      const attended = norm(`${prefix}.attention.output.LayerNorm`, plus(output, state));
      const inner = dense(`${prefix}.intermediate.dense`, attended).map(gelu);
      const outer = dense(`${prefix}.output.dense`, inner);
      return norm(`${prefix}.output.LayerNorm`, plus(outer, attended));
    });
  }
  return Float32Array.from(states.flat());
}

function gelu(x: number): number {
  return x * (1 + erf(x / Math.SQRT2)) / 2;
}

/** The error function by its series, which converges fast for the small values here. */
function erf(x: number): number {
  let [sum, term] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * sum;
}
