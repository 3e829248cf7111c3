/** A Llama-type decoder layer written with graph/, against PyTorch's gradients and training curve. */
import { assert } from "@std/assert";
import {
  adamW,
  add,
  concat,
  constant,
  gather,
  gradient,
  logSoftmax,
  matmul,
  mul,
  neg,
  Program,
  reduceMean,
  reduceSum,
  reshape,
  rmsNorm,
  silu,
  softmax,
  split,
  Trainer,
  transpose,
  type Value,
} from "../../src/graph/mod.ts";
import { type HostTensor, Runtime, tensor } from "../../src/runtime/mod.ts";
import fixture from "./fixtures/decoder.json" with { type: "json" };

const [rows, length] = [fixture.tokens.length, fixture.tokens[0]!.length - 1];
const width = fixture.initial.attentionNorm.dims[0]!;
const vocabulary = fixture.initial.embedding.dims[0]!;
const size = width / fixture.heads;

const initial = Object.fromEntries(
  Object.entries(fixture.initial).map(([name, { dims, data }]) =>
    [name, tensor("float32", dims, Float32Array.from(data))] as const
  ),
);

/** `[length, size]`: angles of the rotary embedding (Su et al. 2021), in halves. */
function rotation(f: (angle: number) => number): HostTensor<"float32"> {
  const data = Float32Array.from({ length: length * size }, (_, at) => {
    const pair = at % size % (size / 2);
    return f(Math.floor(at / size) * 100 ** (-2 * pair / size));
  });
  return tensor("float32", [length, size], data);
}

const causal = tensor(
  "float32",
  [length, length],
  Float32Array.from(
    { length: length ** 2 },
    (_, at) => at % length > Math.floor(at / length) ? -1e9 : 0,
  ),
);
const targets = new Float32Array(rows * length * vocabulary);
fixture.tokens.forEach((row, at) =>
  row.slice(1).forEach((token, place) => targets[(at * length + place) * vocabulary + token] = 1)
);

function lossOf(p: Record<string, Value>): Value {
  const tokens = Int32Array.from(fixture.tokens.flatMap((row) => row.slice(0, -1)));
  const x = gather(p["embedding"]!, constant(tensor("int32", [rows, length], tokens)));
  const attended = add(x, attention(p, rmsNorm(x, p["attentionNorm"]!)));
  const normed = rmsNorm(attended, p["feedNorm"]!);
  const inner = mul(silu(matmul(normed, p["gate"]!)), matmul(normed, p["up"]!));
  const logits = matmul(add(attended, matmul(inner, p["down"]!)), p["head"]!);
  const wanted = constant(tensor("float32", [rows, length, vocabulary], targets));
  return neg(reduceMean(reduceSum(mul(logSoftmax(logits), wanted), { axes: [-1] })));
}

function attention(p: Record<string, Value>, x: Value): Value {
  const [cos, sin] = [constant(rotation(Math.cos)), constant(rotation(Math.sin))];
  const heads = (name: string) =>
    transpose(reshape(matmul(x, p[name]!), [rows, length, fixture.heads, size]), [0, 2, 1, 3]);
  const rotated = (y: Value) => {
    const [low, high] = split(y, [size / 2, size / 2], -1) as [Value, Value];
    return add(mul(y, cos), mul(concat([neg(high), low], -1), sin));
  };
  const scores = matmul(rotated(heads("query")), transpose(rotated(heads("key"))));
  const weights = softmax(add(mul(scores, size ** -0.5), constant(causal)));
  const mixed = transpose(matmul(weights, heads("value")), [0, 2, 1, 3]);
  return matmul(reshape(mixed, [rows, length, width]), p["output"]!);
}

/** Each element within a part of the list's largest. */
function assertNear(actual: ArrayLike<number>, wanted: readonly number[], what: string): void {
  const scale = Math.max(...wanted.map(Math.abs));
  wanted.forEach((item, at) => {
    const off = Math.abs(actual[at]! - item) / scale;
    assert(off <= 1e-4, `${what}[${at}]: ${actual[at]}, not ${item}`);
  });
}

for (const device of ["wasm", "native", "webgpu"] as const) {
  Deno.test(`a decoder layer has PyTorch's gradients and learns along its curve on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    await using program = await Program.open(runtime, {
      inputs: initial,
      outputs({ inputs }) {
        const names = Object.keys(inputs);
        const found = gradient(lossOf(inputs), Object.values(inputs));
        return Object.fromEntries(names.map((name, at) => [`gradient.${name}`, found[at]!]));
      },
    });
    const gradients = await program.run(initial);
    for (const [name, wanted] of Object.entries(fixture.gradients)) {
      const { data } = gradients[`gradient.${name}`] as HostTensor<"float32">;
      assertNear(data, wanted, `gradient of ${name}`);
    }

    await using trainer = await Trainer.open(runtime, {
      parameters: Object.fromEntries(
        Object.entries(initial).map(([name, value]) => [name, { value }]),
      ),
      loss: ({ parameters }) => lossOf(parameters),
      optimizer: adamW({ weightDecay: 0.1 }),
      stepsPerRun: 5,
    });
    const losses: number[] = [];
    while (losses.length < fixture.losses.length) {
      losses.push(...(await trainer.run({ learningRate: fixture.learningRate })).loss);
    }
    // Each against the first, largest one.
    assertNear(losses, fixture.losses, "losses");
    assert(losses.at(-1)! < losses[0]! / 4);
  });
}
