// deno-lint-ignore-file no-console -- it says how far it is
/** Makes models/comments-base: a small decoder that writes short comments, some of them toxic. */
import { Random } from "../src/base/mod.ts";
import {
  BOS,
  EOS,
  fullWeights,
  initialWeights,
  LanguageTrainer,
  openTokenizer,
  packRows,
  parseConfig,
  perplexity,
  saveModel,
  trainBpe,
} from "../src/lm/mod.ts";
import { type DeviceRequest, Runtime } from "../src/runtime/mod.ts";
import { baseCard } from "./cards.ts";
import { modelData } from "./data.ts";

const SEED = 0;
const EPOCHS = 7;
const ROWS = 8;
const LENGTH = 127;
const RATE = 0.02;

/** Trains the tokenizer and the model, and writes the folder. */
export async function makeBase(folder: string, device: DeviceRequest): Promise<void> {
  const { train, heldOut } = await modelData();
  const json = trainBpe(train.map(({ text }) => text), 4096);
  const tokenizer = await openTokenizer(json);
  const row = ({ text }: { text: string }) => Int32Array.of(BOS, ...tokenizer.encode(text), EOS);
  const rows = train.map(row);
  const tokens = rows.reduce((sum, { length }) => sum + length, 0);
  console.log(`${train.length} comments of ${tokens} tokens, ${heldOut.length} held out`);
  const config = parseConfig({
    model_type: "llama",
    vocab_size: 4096,
    hidden_size: 160,
    intermediate_size: 432,
    num_hidden_layers: 4,
    num_attention_heads: 5,
    tie_word_embeddings: true,
    max_position_embeddings: 128,
    bos_token_id: BOS,
    eos_token_id: EOS,
  });
  const random = new Random(SEED, "comments-base");
  const weights = initialWeights(config, random.fork("weights"));
  await using runtime = await Runtime.open(device);
  await using trainer = await LanguageTrainer.open(runtime, fullWeights(config, weights), {
    rows: ROWS,
    length: LENGTH,
  });
  const validation = packRows(heldOut.map(row), LENGTH);
  let step = 0;
  let total = 0;
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const packed = packRows(rows, LENGTH, random.fork(`epoch ${epoch}`));
    total ||= Math.floor(packed.rows / ROWS) * EPOCHS;
    let sum = 0;
    let count = 0;
    for (let from = 0; from + ROWS <= packed.rows; from += ROWS, step++) {
      const which = Array.from({ length: ROWS }, (_, at) => from + at);
      // Warm for a hundred steps, then down in a straight line.
      const rate = RATE * Math.min(1, (step + 1) / 100, 1.02 - step / total);
      sum += await trainer.step(packed, which, Math.max(rate, RATE / 50));
      count++;
    }
    const held = await perplexity(runtime, config, await trainer.weights(), validation);
    console.log(
      `epoch ${epoch + 1}: loss ${(sum / count).toFixed(3)}, held out ${held.toFixed(1)}`,
    );
  }
  const trained = await trainer.weights();
  const held = await perplexity(runtime, config, trained, validation);
  await saveModel(folder, {
    config,
    weights: trained,
    tokenizer: json,
    card: baseCard({ comments: train.length, tokens, perplexity: held, epochs: EPOCHS }),
  }, "F16");
}

if (import.meta.main) {
  const [folder = "models/comments-base", device = "auto"] = Deno.args;
  await makeBase(folder, device as DeviceRequest);
}
