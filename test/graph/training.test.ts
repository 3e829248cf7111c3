/** Training against PyTorch's curves, between devices, and from saved states. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { FairlError } from "../../src/base/mod.ts";
import {
  adamW,
  add,
  cast,
  matmul,
  mul,
  type Optimizer,
  reduceMean,
  reshape,
  sgd,
  softplus,
  squeeze,
  sub,
  tanh,
  traceSteps,
  Trainer,
  type TrainerSpec,
  type Value,
} from "../../src/graph/mod.ts";
import { type Device, type HostTensor, Runtime, scalar, tensor } from "../../src/runtime/mod.ts";
import fixture from "./fixtures/curves.json" with { type: "json" };

const DEVICES: Device[] = ["wasm", "native", "webgpu"];
const STEPS = 60;

type Curve = keyof typeof fixture.curves;
const OPTIMIZERS: Record<Curve, Optimizer> = {
  adamW: adamW({ betas: [0.9, 0.99], weightDecay: 0.1 }),
  sgd: sgd({ momentum: 0.9, weightDecay: 0.01 }),
  nesterov: sgd({ momentum: 0.8, nesterov: true }),
};

const stored = ({ dims, data }: { dims: number[]; data: number[] }) =>
  tensor("float32", dims, Float32Array.from(data));
const { hiddenWeight, hiddenBias, outWeight } = fixture.initial;

/** The net of tools/fixtures/graph.py. */
function specOf(curve: Curve, stepsPerRun: number): TrainerSpec {
  return {
    parameters: {
      hiddenWeight: { value: stored(hiddenWeight) },
      hiddenBias: { value: stored(hiddenBias), decay: false },
      outWeight: { value: stored(outWeight) },
    },
    constants: { chosen: stored(fixture.chosen), rejected: stored(fixture.rejected) },
    loss({ parameters: { hiddenWeight, hiddenBias, outWeight }, constants }) {
      const reward = (features: Value) => {
        const hidden = tanh(add(matmul(features, hiddenWeight!), hiddenBias!));
        return squeeze(matmul(hidden, outWeight!), [1]);
      };
      const { chosen, rejected } = constants;
      return reduceMean(softplus(sub(reward(rejected!), reward(chosen!))));
    },
    optimizer: OPTIMIZERS[curve],
    clipNorm: fixture.curves[curve].clipNorm,
    stepsPerRun,
  };
}

async function train(trainer: Trainer, steps: number, learningRate: number): Promise<number[]> {
  const end = trainer.step + steps;
  const losses: number[] = [];
  while (trainer.step < end) losses.push(...(await trainer.run({ learningRate })).loss);
  return losses;
}

/** The bits of a trainer's whole state, so that equal means equal bytes. */
async function bitsOf(trainer: Trainer): Promise<unknown> {
  const bits = (tensors: Readonly<Record<string, HostTensor<"float32">>>) =>
    Object.entries(tensors).map((
      [name, { dims, data }],
    ) => [name, dims, new Uint32Array(data.buffer)]);
  const { optimizer, step, parameters, slots } = await trainer.state();
  return [
    optimizer,
    step,
    bits(parameters),
    Object.entries(slots).map(([name, slot]) => [name, bits(slot)]),
  ];
}

function assertClose(actual: readonly number[], wanted: readonly number[], what: string): void {
  assertEquals(actual.length, wanted.length, what);
  wanted.forEach((item, at) => {
    const off = Math.abs(actual[at]! - item);
    assert(
      off <= 1e-3 * Math.max(Math.abs(item), 1e-2),
      `${what}[${at}]: ${actual[at]}, not ${item}`,
    );
  });
}

for (const curve of Object.keys(OPTIMIZERS) as Curve[]) {
  Deno.test(`${curve} with clipping follows PyTorch's curve on each device`, async () => {
    const { learningRate, losses, parameters } = fixture.curves[curve];
    const found: number[][] = [];
    for (const device of DEVICES) {
      await using runtime = await Runtime.open(device);
      await using trainer = await Trainer.open(runtime, specOf(curve, 10));
      found.push(await train(trainer, STEPS, learningRate));
      assertClose(found.at(-1)!, losses, `${device}: losses`);
      assertClose(found.at(-1)!, found[0]!, `${device} beside wasm: losses`);
      for (const [name, { data }] of Object.entries(await trainer.parameters())) {
        assertClose([...data], parameters[name as keyof typeof parameters], `${device}: ${name}`);
      }
    }
  });
}

for (const device of DEVICES) {
  Deno.test(`the same run gives the same bytes on ${device}, also from a saved state and after reset()`, async () => {
    await using runtime = await Runtime.open(device);
    await using first = await Trainer.open(runtime, specOf("adamW", 5));
    await using second = await Trainer.open(runtime, specOf("adamW", 5));
    const fresh = await bitsOf(first);
    const losses = await train(first, 20, 0.02);
    const end = await bitsOf(first);
    assertNotEquals(end, fresh);
    assertEquals(await train(second, 20, 0.02), losses);
    assertEquals(await bitsOf(second), end);

    await second.reset();
    assertEquals(second.step, 0);
    assertEquals(await bitsOf(second), fresh);
    const before = await train(second, 10, 0.02);
    const state = await second.state();
    await train(second, 5, 0.02);
    await second.load(state);
    assertEquals(second.step, 10);
    assertEquals([...before, ...await train(second, 10, 0.02)], losses);
    assertEquals(await bitsOf(second), end);

    await using third = await Trainer.open(runtime, specOf("adamW", 5));
    await third.load(state);
    assertEquals(await train(third, 10, 0.02), losses.slice(10));

    const { parameters } = state;
    await third.reset(parameters);
    assertEquals(await third.parameters(), parameters);
    const { squared } = (await third.state()).slots;
    for (const { data } of Object.values(squared!)) assert(data.every((item) => item === 0));
  });

  Deno.test(`a run of fewer steps changes nothing beyond them on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    for (const curve of Object.keys(OPTIMIZERS) as Curve[]) {
      await using short = await Trainer.open(runtime, specOf(curve, 3));
      await using long = await Trainer.open(runtime, specOf(curve, 8));
      const rates = Float32Array.of(0.02, 0.03, 0.01);
      await short.run({ learningRate: rates });
      const { loss } = await long.run({ learningRate: rates, steps: 3 });
      assertEquals(loss.length, 3);
      assertEquals(long.step, 3);
      assertEquals(await bitsOf(long), await bitsOf(short), curve);
      // And the ones after it start from there.
      const next = await short.run({ learningRate: 0.02, steps: 2 });
      assertEquals(await long.run({ learningRate: 0.02, steps: 2 }), next);
    }
  });

  Deno.test(`each step sees its own piece of a batch on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    await using trainer = await Trainer.open(runtime, {
      parameters: { w: { value: scalar(0) } },
      inputs: { scale: { type: "float32", dims: [] } },
      batch: { x: { type: "float32", dims: [2] } },
      loss: ({ parameters: { w }, inputs: { scale }, batch: { x } }) =>
        mul(mul(w!, scale!), reduceMean(x!)),
      optimizer: sgd(),
      stepsPerRun: 3,
    });
    const inputs = { scale: scalar(2) };
    const x = tensor("float32", [3, 2], Float32Array.of(0, 2, 3, 5, 10, 30));
    // w goes down by 2 mean(x) a step; each loss is 2 w mean(x) before it.
    const { loss } = await trainer.run({ inputs, batch: { x }, learningRate: 1 });
    assertEquals([...loss], [0, 2 * -2 * 4, 2 * -10 * 20]);
    const piece = tensor("float32", [1, 2], Float32Array.of(1, 1));
    await trainer.run({ inputs, batch: { x: piece }, learningRate: 1, steps: 1 });
    assertEquals((await trainer.parameters())["w"]!.data[0], -50 - 2);
  });

  Deno.test(`a parameter that the loss reshapes gets its gradient on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const values = (dims: number[], ...data: number[]) =>
      tensor("float32", dims, Float32Array.from(data));
    await using trainer = await Trainer.open(runtime, {
      parameters: {
        first: { value: values([2], 1, 2) },
        tall: { value: values([4, 1], 1, 2, 3, 4) },
      },
      constants: { x: values([1, 2], 1, 10) },
      loss: ({ parameters: { first, tall }, constants: { x } }) =>
        add(reduceMean(matmul(x!, reshape(tall!, [2, 2]))), reduceMean(first!)),
      optimizer: sgd(),
      stepsPerRun: 2,
    });
    await trainer.run({ learningRate: 1 });
    const { first, tall } = await trainer.parameters();
    assertEquals([...first!.data], [0, 1]);
    assertEquals([...tall!.data], [0, 1, -7, -6]);
  });
}

Deno.test("training leaves no more tensors on WebGPU with each run", async () => {
  await using runtime = await Runtime.open("webgpu");
  const trainer = await Trainer.open(runtime, specOf("adamW", 2));
  await trainer.run({ learningRate: 0.01 });
  const after = runtime.liveTensors;
  // One pack with AdamW's two vectors beside it.
  assertEquals(after, 3);
  for (let run = 0; run < 50; run++) await trainer.run({ learningRate: 0.01 });
  const state = await trainer.state();
  assertEquals(runtime.liveTensors, after);
  await trainer.load(state);
  assertEquals(runtime.liveTensors, 0);
  await trainer.run({ learningRate: 0.01 });
  await trainer.dispose();
  assertEquals(runtime.liveTensors, 0);
});

Deno.test("a large parameter, which is packed alone, is trained like the small ones", async () => {
  await using runtime = await Runtime.open("wasm");
  const size = (1 << 17) + 3;
  const spec = (optimizer: Optimizer): TrainerSpec => ({
    parameters: {
      large: { value: tensor("float32", [size], new Float32Array(size).fill(1)), decay: false },
      small: { value: scalar(1) },
    },
    // Both have a gradient of 3 and 4 in norm, hence 5 together, which the clip brings to 1.
    loss: ({ parameters: { large, small } }) =>
      add(mul(reduceMean(large!), 3 * Math.sqrt(size)), mul(small!, 4)),
    optimizer,
    clipNorm: 1,
    stepsPerRun: 1,
  });
  await using trainer = await Trainer.open(runtime, spec(sgd()));
  await trainer.run({ learningRate: 1 });
  const { large, small } = await trainer.parameters();
  assertClose(
    [large!.data[0]!, large!.data[size - 1]!],
    Array(2).fill(1 - 0.6 / Math.sqrt(size)),
    "large",
  );
  assertClose([small!.data[0]!], [0.2], "small");
});

Deno.test("more parameters or steps than a WebGPU kernel binds buffers for are trained alike", async () => {
  for (const [count, stepsPerRun] of [[40, 2], [2, 40]] as const) {
    const losses: number[][] = [];
    for (const device of DEVICES) {
      await using runtime = await Runtime.open(device);
      await using trainer = await Trainer.open(runtime, {
        parameters: Object.fromEntries(
          Array.from({ length: count }, (_, at) => [`p${at}`, { value: scalar(at + 1) }]),
        ),
        loss: ({ parameters }) => Object.values(parameters).map((p) => mul(p, p)).reduce(add),
        optimizer: adamW(),
        clipNorm: 1,
        stepsPerRun,
      });
      losses.push(await train(trainer, stepsPerRun, 0.01));
      assertClose(losses.at(-1)!, losses[0]!, device);
    }
    assert(losses[0]!.at(-1)! < losses[0]![0]!);
  }
});

Deno.test("the traced model is the same bytes each time", () => {
  assertEquals(traceSteps(specOf("adamW", 3)), traceSteps(specOf("adamW", 3)));
});

Deno.test("a loss that does not fit is an error with a name before any device is asked", () => {
  const spec = specOf("sgd", 1);
  const codeOf = (loss: TrainerSpec["loss"]) =>
    assertThrows(() => traceSteps({ ...spec, loss }), FairlError).code;
  assertEquals(codeOf(({ parameters: { outWeight } }) => outWeight!), "graph.shape");
  assertEquals(
    codeOf(({ parameters: { outWeight }, constants: { chosen } }) => matmul(chosen!, outWeight!)),
    "graph.shape",
  );
  assertEquals(
    codeOf(({ parameters: { outWeight } }) => cast(reduceMean(outWeight!), "int32")),
    "graph.type",
  );
});

Deno.test("a run or a state that does not fit is an error with a name", async () => {
  await using runtime = await Runtime.open("wasm");
  await using trainer = await Trainer.open(runtime, specOf("sgd", 2));
  const codeOf = async (call: () => Promise<unknown>) =>
    (await assertRejects(call, FairlError)).code;
  const runs = [
    { learningRate: 1, steps: 3 },
    { learningRate: 1, steps: 0 },
    { learningRate: Float32Array.of(1) },
    { learningRate: 1, inputs: { unknown: scalar(1) } },
  ];
  for (const run of runs) assertEquals(await codeOf(() => trainer.run(run)), "graph.input");
  const state = await trainer.state();
  const other = { ...state, optimizer: "adamW" };
  assertEquals(await codeOf(() => trainer.load(other)), "graph.state");
  const parameters = { ...state.parameters, hiddenBias: scalar(0) };
  assertEquals(
    await codeOf(() => trainer.load({ ...state, parameters })),
    "graph.input",
  );
  assertEquals(await codeOf(() => trainer.reset(parameters)), "graph.input");
  // None of them moved anything.
  assertEquals(await trainer.state(), state);
});

Deno.test("a step in pieces is the step on all of them, clipped as a whole", async () => {
  const rows = (from: number, count: number) =>
    tensor(
      "float32",
      [count, 3],
      Float32Array.from({ length: 3 * count }, (_, at) => Math.sin(1.7 * (3 * from + at))),
    );
  const spec = (count: number, accumulate: boolean): TrainerSpec => ({
    parameters: { weight: { value: tensor("float32", [3, 1], Float32Array.of(0.5, -1, 2)) } },
    inputs: { x: { type: "float32", dims: [count, 3] } },
    loss({ parameters: { weight }, inputs: { x } }) {
      return reduceMean(softplus(matmul(x!, weight!)));
    },
    optimizer: adamW({ weightDecay: 0.1 }),
    clipNorm: 0.05,
    stepsPerRun: 1,
    accumulate,
  });
  for (const device of DEVICES) {
    await using runtime = await Runtime.open(device);
    await using whole = await Trainer.open(runtime, spec(6, false));
    await using parts = await Trainer.open(runtime, spec(2, true));
    for (let step = 0; step < 4; step++) {
      const { loss } = await whole.run({ inputs: { x: rows(step, 6) }, learningRate: 0.1 });
      const pieces = [0, 2, 4].map((at) => ({ inputs: { x: rows(step + at, 2) }, weight: 1 / 3 }));
      const sum = await parts.accumulate({ pieces, learningRate: 0.1 });
      assert(Math.abs(sum - loss[0]!) < 1e-6, `${device}: ${sum} and ${loss[0]}`);
    }
    assertEquals(parts.step, 4);
    const [a, b] = [await whole.parameters(), await parts.parameters()];
    a["weight"]!.data.forEach((value, at) =>
      assert(Math.abs(value - b["weight"]!.data[at]!) < 1e-5, device)
    );
    // A state between two steps is all that the next one needs.
    await using resumed = await Trainer.open(runtime, spec(2, true));
    await resumed.load(await parts.state());
    const next = [{ inputs: { x: rows(9, 2) }, weight: 1 }];
    for (const one of [parts, resumed]) await one.accumulate({ pieces: next, learningRate: 0.1 });
    assertEquals(await resumed.parameters(), await parts.parameters());
  }
});

Deno.test("pieces for a trainer that makes whole steps, and none at all, are named errors", async () => {
  await using runtime = await Runtime.open("wasm");
  await using whole = await Trainer.open(runtime, specOf("sgd", 1));
  await using parts = await Trainer.open(runtime, { ...specOf("sgd", 1), accumulate: true });
  const failed = [
    whole.accumulate({ pieces: [{ inputs: {}, weight: 1 }], learningRate: 0.1 }),
    parts.accumulate({ pieces: [], learningRate: 0.1 }),
    parts.run({ learningRate: 0.1 }),
    Trainer.open(runtime, { ...specOf("sgd", 2), accumulate: true }),
  ];
  for (const one of failed) {
    assertEquals((await assertRejects(() => one, FairlError)).code, "graph.input");
  }
});
