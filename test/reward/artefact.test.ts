/** The head's ONNX model against its formula and other runtimes; the artefact against damage. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { FairlError, Random } from "../../src/base/mod.ts";
import {
  type ArtefactParts,
  evaluateHead,
  FIGURES,
  headModel,
  loadArtefact,
  type RewardHead,
  saveArtefact,
} from "../../src/reward/mod.ts";
import { Runtime } from "../../src/runtime/mod.ts";
import { randomHead, rewardsOf } from "./heads.ts";

const DIMENSION = 24;
const UNITS = 10;
const ROWS = 37;
const HEAD = randomHead(1, DIMENSION, UNITS);
const FEATURES = new Random(2, "features").normals(ROWS * DIMENSION);

function parts(): ArtefactParts {
  const interval = { value: 0.9, low: 0.8, high: 0.95, n: 12 };
  const figures = Object.fromEntries(FIGURES.map((figure) => [figure, interval])) as Record<
    typeof FIGURES[number],
    typeof interval
  >;
  return {
    model: headModel(HEAD),
    training: [{ kind: "round", round: 1 }, { kind: "round", round: 2 }],
    plots: { "gaps.svg": "<svg/>\n", "roc.svg": "<svg></svg>\n" },
    card: {
      format: 1,
      method: "fa-irl",
      objective: "max-entropy",
      head: "linear",
      box: "black",
      encoder: { name: "features", id: "features", dimension: DIMENSION },
      seed: 3,
      device: { name: "wasm", detail: "by hand", software: false },
      versions: { fairl: "0.1.0" },
      pairs: {
        source: "by hand",
        contentHash: "0".repeat(64),
        ...{ read: 20, kept: 18, train: 10, validation: 4, test: 4 },
        ...{ duplicates: 1, equalTexts: 1, emptyTexts: 0, conflicts: 0, problems: {} },
      },
      reference: null,
      metrics: { "fa-irl": figures, length: { ...figures, starc: null, epic: null } },
      validation: { "fa-irl": 0.4 },
      calibration: { text: { a: 1, b: 0 }, pair: { a: 1, b: 0 } },
      threshold: 0,
      quantiles: [-1, 0, 1],
      settings: { epochs: 3 },
      licence: "Apache-2.0",
      created: "2026-01-01T00:00:00.000Z",
    },
  };
}

async function withArtefact(work: (folder: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "fairl-test-" });
  try {
    const folder = join(root, "a");
    await saveArtefact(folder, parts());
    await work(folder);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

async function refusal(folder: string, code: string, naming: string): Promise<void> {
  const error = await assertRejects(() => loadArtefact(folder), FairlError);
  assertEquals(error.code, code, error.message);
  assertStringIncludes(error.message, naming);
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5) {
  assertEquals(actual.length, expected.length);
  for (let at = 0; at < actual.length; at++) {
    const difference = Math.abs(actual[at]! - expected[at]!);
    assert(difference <= tolerance, `row ${at}: ${actual[at]} against ${expected[at]}`);
  }
}

Deno.test("a head's model gives what its formula says: linear, mlp, and both", async () => {
  await using runtime = await Runtime.open("wasm");
  const [linear, mlp] = HEAD.paths;
  for (const paths of [[linear!], [mlp!], [linear!, mlp!]]) {
    const head: RewardHead = { ...HEAD, paths };
    const expected = rewardsOf(head, FEATURES);
    assertClose(await evaluateHead(runtime, head, FEATURES), expected);
    assert(new Set(expected).size === ROWS);
  }
  const first = FEATURES.slice(0, DIMENSION);
  assertClose(await evaluateHead(runtime, HEAD, first), rewardsOf(HEAD, first));
});

Deno.test("an artefact comes back as it was saved, and equal parts give equal bytes", async () => {
  await withArtefact(async (folder) => {
    const { model, card } = await loadArtefact(folder);
    assertEquals(model, headModel(HEAD));
    const { files, ...rest } = card;
    assertEquals(rest, parts().card);
    assertEquals(Object.keys(files).sort(), [
      "README.md",
      "plots/gaps.svg",
      "plots/roc.svg",
      "reward.onnx",
      "training.jsonl",
    ]);
    const again = `${folder}-again`;
    await saveArtefact(again, parts());
    for (const name of [...Object.keys(files), "card.json"]) {
      assertEquals(await Deno.readFile(join(again, name)), await Deno.readFile(join(folder, name)));
    }
  });
});

Deno.test("saving over an artefact leaves nothing of the old one", async () => {
  await withArtefact(async (folder) => {
    const { "roc.svg": roc } = parts().plots;
    await saveArtefact(folder, { ...parts(), plots: { "roc.svg": roc! } });
    const names = (await Array.fromAsync(Deno.readDir(join(folder, "plots"))))
      .map(({ name }) => name);
    assertEquals(names, ["roc.svg"]);
    await loadArtefact(folder);
  });
});

Deno.test("each of 100 changed bytes is refused, and the file that has it is named", async () => {
  await withArtefact(async (folder) => {
    const names = Object.keys((await loadArtefact(folder)).card.files);
    const random = new Random(4, "damage");
    for (let change = 0; change < 100; change++) {
      const name = names[change % names.length]!;
      const path = join(folder, name);
      const bytes = await Deno.readFile(path);
      const changed = bytes.slice();
      const at = random.integer(bytes.length);
      changed[at]! ^= 1 << random.integer(8);
      await Deno.writeFile(path, changed);
      await refusal(folder, "reward.changed", path);
      await Deno.writeFile(path, bytes);
    }
    await loadArtefact(folder);
  });
});

Deno.test("a card that is damaged, of another form, or lists names outside the folder is refused", async () => {
  await withArtefact(async (folder) => {
    const path = join(folder, "card.json");
    const text = await Deno.readTextFile(path);
    const card = JSON.parse(text);
    await Deno.writeTextFile(join(folder, "..", "outside.txt"), "");
    const hash = card.files["reward.onnx"];
    const { "reward.onnx": _, ...withoutModel } = card.files;
    const bad: [string, naming: string][] = [
      [text.slice(0, text.length / 2), "card.json"],
      [text.replace('"format": 1', '"format": 2'), "format"],
      [text.replace('"threshold": 0', '"threshold": "0"'), "threshold"],
      [JSON.stringify({ ...card, extra: 1 }), "extra"],
      [JSON.stringify({ ...card, quantiles: undefined }), "quantiles"],
      [JSON.stringify({ ...card, files: withoutModel }), "reward.onnx"],
      ...["../outside.txt", "/etc/hostname", "plots/../../outside.txt", "..", "a\\..\\b", "a/b/c"]
        .map((name): [string, string] => [
          JSON.stringify({ ...card, files: { ...card.files, [name]: hash } }),
          name,
        ]),
    ];
    for (const [damaged, naming] of bad) {
      await Deno.writeTextFile(path, damaged);
      await refusal(folder, "reward.card", naming);
    }
  });
});

Deno.test("an artefact without a file of its own, or without a card, is refused", async () => {
  await withArtefact(async (folder) => {
    for (const name of ["plots/roc.svg", "reward.onnx", "card.json"]) {
      await Deno.remove(join(folder, name));
      await refusal(folder, "reward.missing", name);
    }
    await refusal(join(folder, "nowhere"), "reward.missing", "nowhere");
    await refusal(join(folder, "README.md"), "reward.missing", "README.md");
  });
});

Deno.test("plain onnxruntime-node runs reward.onnx to the same rewards", async () => {
  const { InferenceSession, Tensor } = await import("npm:onnxruntime-node@1.30.0");
  await withArtefact(async (folder) => {
    const session = await InferenceSession.create(join(folder, "reward.onnx"));
    assertEquals([...session.inputNames], ["features"]);
    assertEquals([...session.outputNames], ["reward"]);
    const features = new Tensor("float32", FEATURES, [ROWS, DIMENSION]);
    const { reward } = await session.run({ features });
    await session.release();
    assertEquals([...reward!.dims], [ROWS]);
    await using runtime = await Runtime.open("wasm");
    assertClose(reward!.data as Float32Array, await evaluateHead(runtime, HEAD, FEATURES));
  });
});

const SCORE = `
import json, sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
rows = numpy.fromfile(sys.argv[2], dtype=numpy.float32).reshape(-1, ${DIMENSION})
print(json.dumps(session.run(["reward"], {"features": rows})[0].tolist()))
`;

/** Whether this machine has Python with onnxruntime. */
async function hasPythonRuntime(): Promise<boolean> {
  try {
    const args = ["-c", "import numpy, onnxruntime"];
    const options = { args, stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command("python3", options).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test({
  name: "Python's onnxruntime runs reward.onnx to the same rewards",
  ignore: !await hasPythonRuntime(),
  fn: async () => {
    await withArtefact(async (folder) => {
      const rows = join(folder, "..", "features.f32");
      await Deno.writeFile(rows, new Uint8Array(FEATURES.buffer));
      const { success, stdout, stderr } = await new Deno.Command("python3", {
        args: ["-c", SCORE, join(folder, "reward.onnx"), rows],
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert(success, text(stderr));
      await using runtime = await Runtime.open("wasm");
      assertClose(JSON.parse(text(stdout)), await evaluateHead(runtime, HEAD, FEATURES));
    });
  },
});
