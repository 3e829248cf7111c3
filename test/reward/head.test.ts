/** The head's ONNX model on each device, and at the edges of its shape. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FairlError, Random } from "../../src/base/mod.ts";
import { evaluateHead, headModel } from "../../src/reward/mod.ts";
import { listDevices, Runtime } from "../../src/runtime/mod.ts";
import { randomHead, rewardsOf } from "./heads.ts";

const DIMENSION = 512;
const HEAD = randomHead(7, DIMENSION, 64);
const FEATURES = new Random(7, "features").normals(100 * DIMENSION, DIMENSION ** -0.5);

Deno.test("a head of the default size gives its formula's rewards on each device of this machine", async () => {
  const expected = rewardsOf(HEAD, FEATURES);
  for (const { device, available } of await listDevices()) {
    if (!available) continue;
    await using runtime = await Runtime.open(device);
    const rewards = await evaluateHead(runtime, HEAD, FEATURES);
    assertEquals(rewards.length, 100);
    expected.forEach((reward, row) => {
      const error = Math.abs(rewards[row]! - reward);
      assert(error <= 1e-5 * (1 + Math.abs(reward)), `${device}, row ${row}: off by ${error}`);
    });
  }
});

Deno.test("no rows give no rewards, and part of a row is refused", async () => {
  await using runtime = await Runtime.open("wasm");
  assertEquals((await evaluateHead(runtime, HEAD, new Float32Array())).length, 0);
  const cut = FEATURES.slice(0, DIMENSION + 1);
  const error = await assertRejects(() => evaluateHead(runtime, HEAD, cut), FairlError);
  assertEquals(error.code, "runtime.shape");
});

Deno.test("equal heads give equal bytes", () => {
  assertEquals(headModel(randomHead(3, 8, 4)), headModel(randomHead(3, 8, 4)));
});
