/**
 * The peer of bench/lm.ts that trains in TensorFlow.js: the same Llama, on its wasm backend. Its plain
 * JavaScript backend also trains, some tens of times slower; the wasm backend lacks one kernel of the
 * gradient, the sum of an embedding's rows, which is a ScatterNd here.
 *
 * Started with the folder that holds shape, weights and tokens; answers "peak" with the GFLOP/s of a
 * matrix product, and a number of steps with the milliseconds that they took and their losses.
 */
// deno-lint-ignore-file no-explicit-any -- a library that is not in deno.json has no types here
import type { DecoderConfig } from "../../src/lm/mod.ts";
import { bestRate, type Trained, TRAINING } from "../lm_train.ts";
import { print, serve } from "../sides.ts";

/** Named here and not in deno.json, so that nothing else fetches them. */
const CORE = "npm:@tensorflow/tfjs@4.22.0";
const WASM = "npm:@tensorflow/tfjs-backend-wasm@4.22.0";

const tf: any = await import(CORE);
const wasm: any = await import(WASM);
await tf.setBackend("wasm");
await tf.ready();

const folder = Deno.args[0]!;
const shape: DecoderConfig & {
  rows: number;
  rowLength: number;
  product: { m: number; k: number; n: number };
  shapes: Record<string, number[]>;
} = JSON.parse(await Deno.readTextFile(`${folder}/shape.json`));
const { heads, headSize: size, width, layers, vocabulary, rows, rowLength: length } = shape;
const bytes = async (name: string) => (await Deno.readFile(`${folder}/${name}`)).buffer;
const weights: Record<string, any> = {};
for (const [name, dims] of Object.entries(shape.shapes)) {
  weights[name] = tf.variable(tf.tensor(new Float32Array(await bytes(name)), dims), true, name);
}
const tokens = new Int32Array(await bytes("tokens"));
const part = (from: number) =>
  Int32Array.from(
    { length: rows * length },
    (_, at) => tokens[Math.floor(at / length) * (length + 1) + at % length + from]!,
  );
const inputs = tf.tensor1d(part(0), "int32");
const targets = tf.tensor1d(part(1), "int32");
const indices = tf.reshape(inputs, [rows * length, 1]);
const places = tf.stack([tf.range(0, rows * length, 1, "int32"), targets], 1);

const angle = (at: number) =>
  Math.floor(at / size) * shape.ropeTheta ** (-2 * (at % (size / 2)) / size);
const table = (f: (x: number) => number) =>
  tf.tensor(Float32Array.from({ length: length * size }, (_, at) => f(angle(at))), [length, size]);
const [cos, sin] = [table(Math.cos), table(Math.sin)];
const mask = tf.tensor(
  Float32Array.from({ length: length ** 2 }, (_, at) => at % length > at / length ? -1e9 : 0),
  [length, length],
);

/** Rows of a matrix; the gradient adds them up with ScatterNd. */
const embedded = tf.customGrad((matrix: any) => ({
  value: tf.gather(matrix, inputs),
  gradFunc: (dy: any) => tf.scatterND(indices, dy, [vocabulary, width]),
}));
/** The targets' own logits. */
const picked = tf.customGrad((logits: any) => ({
  value: tf.gatherND(logits, places),
  gradFunc: (dy: any) => tf.scatterND(places, dy, [rows * length, vocabulary]),
}));

/** A product that transposes beforehand: the backend's fast kernel takes no transposed matrix. */
const product = tf.customGrad((a: any, b: any, save: any) => {
  save([a, b]);
  return {
    value: tf.matMul(a, b),
    gradFunc: (dy: any, [a, b]: any[]) => [
      tf.matMul(dy, tf.transpose(b)),
      tf.matMul(tf.transpose(a), dy),
    ],
  };
});
const linear = (x: any, name: string) => product(x, tf.transpose(weights[`${name}.weight`]));
const norm = (x: any, name: string) => {
  const square = tf.mean(tf.square(x), -1, true);
  return tf.mul(tf.mul(x, tf.rsqrt(tf.add(square, shape.normEpsilon))), weights[`${name}.weight`]);
};
const turned = (x: any) => {
  const [low, high] = tf.split(x, 2, -1);
  return tf.add(tf.mul(x, cos), tf.mul(tf.concat([tf.neg(high), low], -1), sin));
};

function lossOf(): any {
  let x = embedded(weights["model.embed_tokens.weight"]);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const seen = norm(x, `${at}.input_layernorm`);
    const [q, k, v] = ["q", "k", "v"].map((name) =>
      tf.transpose(
        tf.reshape(linear(seen, `${at}.self_attn.${name}_proj`), [rows, length, heads, size]),
        [0, 2, 1, 3],
      )
    );
    const scores = tf.mul(tf.matMul(turned(q), turned(k), false, true), size ** -0.5);
    const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), v);
    const joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [rows * length, heads * size]);
    x = tf.add(x, linear(joined, `${at}.self_attn.o_proj`));
    const inner = norm(x, `${at}.post_attention_layernorm`);
    const gate = linear(inner, `${at}.mlp.gate_proj`);
    const silu = tf.mul(gate, tf.sigmoid(gate));
    x = tf.add(x, linear(tf.mul(silu, linear(inner, `${at}.mlp.up_proj`)), `${at}.mlp.down_proj`));
  }
  const logits = tf.matMul(
    norm(x, "model.norm"),
    weights["model.embed_tokens.weight"],
    false,
    true,
  );
  return tf.mean(tf.sub(tf.logSumExp(logits, -1), picked(logits)));
}

const optimizer = tf.train.adam(TRAINING.learningRate, 0.9, 0.999, 1e-8);

function step(): number {
  return tf.tidy(() => {
    const { value, grads } = optimizer.computeGradients(lossOf);
    const squares = Object.values(grads).map((grad) => tf.sum(tf.square(grad)));
    const scale = tf.minimum(tf.div(1, tf.add(tf.sqrt(tf.addN(squares)), 1e-6)), 1);
    optimizer.applyGradients(
      Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, tf.mul(grad, scale)])),
    );
    return value.dataSync()[0];
  });
}

const { m, k, n } = shape.product;
const [x, w] = [tf.randomNormal([m, k]), tf.randomNormal([k, n])];
step();
for (const [name, dims] of Object.entries(shape.shapes)) {
  weights[name].assign(tf.tensor(new Float32Array(await bytes(name)), dims));
}
print(
  `TensorFlow.js ${tf.version.tfjs}, ${tf.getBackend()} backend, ${wasm.getThreadsCount()} threads`,
);
await serve((line) => {
  if (line === "peak") {
    return bestRate(() => {
      const y = tf.matMul(x, w);
      y.dispose();
      return Promise.resolve();
    });
  }
  const losses: number[] = [];
  const started = performance.now();
  for (let at = 0; at < Number(line); at++) losses.push(step());
  return Promise.resolve({ millis: performance.now() - started, losses } satisfies Trained);
});
