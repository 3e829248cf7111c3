/** The runtime on each device; a device that is missing fails here, it does not skip. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FairlError } from "../../src/base/mod.ts";
import { encodeModel } from "../../src/graph/mod.ts";
import {
  autoChoice,
  type Device,
  type DeviceInfo,
  isDeviceTensor,
  listDevices,
  loadOrt,
  Runtime,
  scalar,
  tensor,
} from "../../src/runtime/mod.ts";

const DEVICES: Device[] = ["wasm", "native", "webgpu"];

/** A graph that moves its state on by one. */
const counter = encodeModel({
  name: "counter",
  nodes: [{ op: "Add", inputs: ["state", "one"], outputs: ["next"] }],
  initializers: { one: scalar(1) },
  inputs: [{ name: "state", type: "float32", dims: [1024] }],
  outputs: [{ name: "next", type: "float32", dims: [1024] }],
});

const zeros = () => tensor("float32", [1024], new Float32Array(1024));

Deno.test("every device of the table can be opened here", async () => {
  await loadOrt("native");
  for (const info of await listDevices()) assert(info.available, `${info.device}: ${info.detail}`);
});

for (const device of DEVICES) {
  Deno.test(`10,000 steps with resident state grow nothing on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const session = await runtime.session(counter, { resident: "all", strict: true });
    let state = (await session.run({ state: zeros() }))["next"]!;
    const step = async () => {
      const next = (await session.run({ state }))["next"]!;
      if (isDeviceTensor(state)) state.dispose();
      state = next;
    };
    for (let warm = 0; warm < 1000; warm++) await step();
    const before = Deno.memoryUsage().rss;
    for (let count = 0; count < 9000; count++) await step();
    const grown = Deno.memoryUsage().rss - before;
    // Nine thousand leaked states would be 37 MB of tensors alone.
    assert(grown < 24e6, `resident memory grew by ${grown} bytes`);
    assertEquals(runtime.liveTensors, device === "webgpu" ? 1 : 0);
    assertEquals((await runtime.read(state)).data[1023], 10_001);
    if (isDeviceTensor(state)) state.dispose();
    assertEquals(runtime.liveTensors, 0);
  });

  Deno.test(`forty runs at once come back in order on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const sessions = await Promise.all([runtime.session(counter), runtime.session(counter)]);
    const results = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const state = tensor("float32", [1024], new Float32Array(1024).fill(index));
        const { next } = await sessions[index % 2]!.run({ state });
        return (await runtime.read(next!)).data[7];
      }),
    );
    assertEquals(results, Array.from({ length: 40 }, (_, index) => index + 1));
  });

  Deno.test(`a damaged model and a wrong input are named errors on ${device}`, async () => {
    await using runtime = await Runtime.open(device);
    const damaged = await assertRejects(
      () => runtime.session(counter.subarray(0, 40)),
      FairlError,
    );
    assertEquals(damaged.code, "runtime.model");
    const session = await runtime.session(counter);
    const wrong = await assertRejects(
      () => session.run({ state: tensor("float32", [3], new Float32Array(3)) }),
      FairlError,
    );
    assertEquals(wrong.code, "runtime.run");
  });
}

Deno.test("auto takes a hardware adapter, then native, then wasm, and never a software adapter", () => {
  const device = (name: Device, available: boolean, software = false): DeviceInfo => ({
    device: name,
    available,
    software,
    detail: "",
  });
  const choose = (gpu: [boolean, boolean], native: boolean) =>
    autoChoice([device("webgpu", ...gpu), device("native", native), device("wasm", true)]).device;
  assertEquals(choose([true, false], true), "webgpu");
  assertEquals(choose([true, true], true), "native");
  assertEquals(choose([false, false], true), "native");
  assertEquals(choose([true, true], false), "wasm");
});

Deno.test("tensor() refuses data that does not fill its shape", () => {
  try {
    tensor("float32", [2, 2], new Float32Array(3));
  } catch (error) {
    assertEquals((error as FairlError).code, "runtime.shape");
    return;
  }
  throw new Error("no error came");
});
