import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import fc from "fast-check";
import {
  Random,
  sha256,
  sha256OfFile,
  writeFileAtomic,
  writeFolderAtomic,
} from "../../src/base/mod.ts";

Deno.test("a stream of random numbers depends on its seed and label alone", () => {
  fc.assert(fc.property(fc.integer(), fc.string(), (seed, label) => {
    const first = new Random(seed, label);
    first.uniform();
    const forked = first.fork("x").uniform();
    assertEquals(forked, new Random(seed, label).fork("x").uniform());
    assertNotEquals(forked, new Random(seed, label).fork("y").uniform());
  }));
});

Deno.test("a permutation holds each integer once", () => {
  fc.assert(fc.property(fc.integer(), fc.nat(300), (seed, length) => {
    const sorted = [...new Random(seed).permutation(length)].sort((a, b) => a - b);
    assertEquals(sorted, Array.from({ length }, (_, index) => index));
  }));
});

Deno.test("normal draws have mean 0 and deviation 1", () => {
  const draws = new Random(3).normals(100_000);
  const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
  const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
  assert(Math.abs(mean) < 0.02 && Math.abs(variance - 1) < 0.02, `${mean} ${variance}`);
});

Deno.test("neighbouring seeds give unrelated streams", () => {
  const draws = Array.from({ length: 2000 }, (_, seed) => new Random(seed).uniform());
  const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
  const product = draws.slice(1).reduce(
    (sum, x, index) => sum + (x - 0.5) * (draws[index]! - 0.5),
    0,
  );
  assert(Math.abs(mean - 0.5) < 0.03, `mean ${mean}`);
  assert(Math.abs(product / draws.length) < 0.01, `correlation ${product}`);
});

Deno.test("a folder that fails to fill leaves the old one as it was", async () => {
  const root = await Deno.makeTempDir();
  const folder = join(root, "artefact");
  await writeFolderAtomic(folder, (path) => Deno.writeTextFile(join(path, "a"), "old"));
  await assertRejects(() =>
    writeFolderAtomic(folder, async (path) => {
      await Deno.writeTextFile(join(path, "a"), "new");
      throw new Error("disk full");
    })
  );
  assertEquals(await Deno.readTextFile(join(folder, "a")), "old");
  await writeFolderAtomic(folder, (path) => Deno.writeTextFile(join(path, "b"), "new"));
  assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["b"]);
  assertEquals([...Deno.readDirSync(root)].length, 1);
  await Deno.remove(root, { recursive: true });
});

Deno.test("a file's hash is that of its bytes", async () => {
  const root = await Deno.makeTempDir();
  const data = new Uint8Array(3_000_000).map((_, index) => index % 251);
  await writeFileAtomic(join(root, "deep", "file"), data);
  assertEquals(await sha256OfFile(join(root, "deep", "file")), sha256(data));
  await Deno.remove(root, { recursive: true });
});
