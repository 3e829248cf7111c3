/**
 * Why steps are unrolled: the same training steps in one run as an unrolled graph and as ONNX's Loop,
 * and one step a run, on each device.
 *
 *     deno task bench loop
 */
import {
  adamW,
  add,
  encodeModel,
  matmul,
  type OnnxGraph,
  reduceMean,
  softplus,
  sub,
  tanh,
  type TrainerSpec,
  type Value,
} from "../src/graph/mod.ts";
import { compileSteps } from "../src/graph/step.ts";
import { type HostTensor, Runtime, type Session, tensor } from "../src/runtime/mod.ts";

const [HIDDEN, PAIRS, STEPS] = [32, 128, 20];
const TURNS = { wasm: 25, native: 25, webgpu: 5 } as const;

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

function waves(dims: number[], phase: number): HostTensor<"float32"> {
  const length = dims.reduce((product, dim) => product * dim, 1);
  const wave = (_: unknown, at: number) => 0.2 * Math.sin(1.3 * at + phase);
  return tensor("float32", dims, Float32Array.from({ length }, wave));
}

function specOf(features: number, stepsPerRun: number): TrainerSpec {
  return {
    parameters: {
      hidden: { value: waves([features, HIDDEN], 1) },
      bias: { value: waves([HIDDEN], 2) },
      out: { value: waves([HIDDEN, 1], 3) },
    },
    constants: { chosen: waves([PAIRS, features], 4), rejected: waves([PAIRS, features], 5) },
    loss({ parameters: { hidden, bias, out }, constants: { chosen, rejected } }) {
      const reward = (x: Value) => matmul(tanh(add(matmul(x, hidden!), bias!)), out!);
      return reduceMean(softplus(sub(reward(rejected!), reward(chosen!))));
    },
    optimizer: adamW(),
    stepsPerRun,
  };
}

/** The graph of one step as the body of a Loop over the rows of the schedule, which are all alike. */
function loopOf(step: OnnxGraph): OnnxGraph {
  const state = step.inputs.filter(({ name }) => name !== "schedule");
  const renamed = (prefix: string) => state.map((one) => ({ ...one, name: prefix + one.name }));
  const [starts, ends] = [renamed("start."), renamed("end.")];
  const losses = { name: "losses", type: "float32", dims: [STEPS, 1] } as const;
  const body: OnnxGraph = {
    name: "step",
    initializers: {},
    inputs: [
      { name: "index", type: "int64", dims: [] },
      { name: "before", type: "bool", dims: [] },
      ...state,
    ],
    outputs: [
      { name: "after", type: "bool", dims: [] },
      ...renamed("next."),
      { name: "loss", type: "float32", dims: [1] },
    ],
    nodes: [...step.nodes, { op: "Identity", inputs: ["before"], outputs: ["after"] }],
  };
  return {
    name: "loop",
    initializers: {
      ...step.initializers,
      trips: tensor("int64", [], BigInt64Array.of(BigInt(STEPS))),
      yes: tensor("bool", [], Uint8Array.of(1)),
    },
    inputs: [...starts, ...step.inputs.filter(({ name }) => name === "schedule")],
    outputs: [...ends, losses],
    nodes: [{
      op: "Loop",
      inputs: ["trips", "yes", ...starts.map(({ name }) => name)],
      outputs: [...ends.map(({ name }) => name), losses.name],
      attributes: { body: { graph: body } },
    }],
  };
}

/** Milliseconds a step, the median of some turns of each way, in turns. */
async function measure(
  ways: Record<string, () => Promise<unknown>>,
  turns: number,
): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {};
  for (let turn = -1; turn < turns; turn++) {
    for (const [name, way] of Object.entries(ways)) {
      const started = performance.now();
      await way();
      // The turn before the first warms up.
      if (turn >= 0) (times[name] ??= []).push((performance.now() - started) / STEPS);
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([name, list]) => [name, list.sort((a, b) => a - b)[turns >> 1]!]),
  );
}

async function compare(features: number): Promise<void> {
  const [one, many] = [compileSteps(specOf(features, 1)), compileSteps(specOf(features, STEPS))];
  print(
    `\n${features}-${HIDDEN}-1 on ${PAIRS} pairs, AdamW: ${one.graph.nodes.length} nodes a step`,
  );
  const row = [1, ...adamW().feed(1, 0.01)];
  const schedule = (rows: number) =>
    tensor("float32", [rows, row.length], Float32Array.from(Array(rows).fill(row).flat()));
  const { size } = many.packs[0]!;
  const state = Object.fromEntries(
    many.state.map((name) => [name, tensor("float32", [size], new Float32Array(size))]),
  );
  const starts = Object.fromEntries(
    Object.entries(state).map(([name, value]) => [`start.${name}`, value]),
  );
  for (const device of ["wasm", "native", "webgpu"] as const) {
    await using runtime = await Runtime.open(device);
    const open = (graph: OnnxGraph) => runtime.session(encodeModel(graph), { strict: true });
    const started = performance.now();
    const unrolled = await open(many.graph);
    const load = performance.now() - started;
    const single = await open(one.graph);
    const loop: Session | undefined = await open(loopOf(one.graph)).catch(() => undefined);
    const times = await measure({
      unrolled: () => unrolled.run({ ...state, schedule: schedule(STEPS) }),
      ...(loop ? { loop: () => loop.run({ ...starts, schedule: schedule(1) }) } : {}),
      async single() {
        for (let step = 0; step < STEPS; step++) {
          await single.run({ ...state, schedule: schedule(1) });
        }
      },
    }, TURNS[device]);
    const ratio = (name: string) =>
      times[name] ? `${(times[name] / times["unrolled"]!).toFixed(1)}x` : "refused";
    print(
      `  ${device.padEnd(7)} unrolled ${(1000 * times["unrolled"]!).toFixed(0).padStart(6)} us  ` +
        `Loop ${ratio("loop")}  one step a run ${ratio("single")}  load ${load.toFixed(0)} ms`,
    );
  }
}

if (import.meta.main) { for (const features of [64, 512]) await compare(features); }
