/**
 * Runs benches by name, each in a process of its own; all of them without a name.
 *
 *     deno task bench [name...]
 */

/** What there is, and what it measures. */
const BENCHES: Record<string, string> = {
  step: "A training step of a reward head, against PyTorch",
  loop: "Unrolled steps against ONNX's Loop",
  encode: "Texts a second through the encoder",
  pairs: "A million pairs streamed from a file",
  rlhf: "Aligning a fresh base again with extracted rewards, steered to one KL (half an hour)",
  lm:
    "The tiny language model: training and writing, against PyTorch, TensorFlow.js and transformers.js",
  zoo: "The shipped models against their bars, beside an n-gram model and PyTorch",
  zoo_peer: "Their base's recipe in PyTorch, once, for that table (20 minutes on one core)",
  smollm2:
    "SmolLM2-135M aligned again with an extracted reward, by adapters (ten minutes; needs its file)",
  synthetic: "Worlds with a known reward: pairs against the same head trained on that reward",
  whole: "ParaDetox from text to rewards as whole processes, against the same walk in Python",
  mixture: "METHOD's mixture of what alignment fixed and what it did not",
};

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !(name in BENCHES));
  if (unknown !== undefined) {
    print(`There is no bench "${unknown}"; there is: ${Object.keys(BENCHES).join(", ")}`);
    return 2;
  }
  let code = 0;
  for (const name of names.length ? names : Object.keys(BENCHES)) {
    print(`\n== ${name}: ${BENCHES[name]}\n`);
    const bench = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--lock=test/deno.lock",
        "-P=bench",
        "--quiet",
        `${import.meta.dirname}/${name}.ts`,
      ],
    }).spawn().status;
    code ||= bench.code;
  }
  return code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
