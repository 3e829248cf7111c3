/** BERT (Devlin et al. 2018, arXiv 1810.04805) as an ONNX graph, from the weights that PyTorch saved. */
import { FairlError } from "../base/mod.ts";
import type { WeightTensor } from "../hub/mod.ts";
import {
  type Floats,
  type Linear,
  type Norm,
  scaleQueries,
  TransformerWriter,
} from "./transformer.ts";

/** The part of a BERT model's config.json that its graph depends on. */
export interface BertConfig {
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly num_hidden_layers: number;
  readonly layer_norm_eps: number;
}

/**
 * The encoder with input `ids` [texts, tokens] int32 and output `hidden` [texts * tokens, width].
 * All tokens belong to the first segment.
 *
 * @throws FairlError `encode.model` when a weight is missing
 */
export function bertModel(
  config: BertConfig,
  weights: ReadonlyMap<string, WeightTensor>,
): Uint8Array<ArrayBuffer> {
  const { hidden_size: width, num_attention_heads: heads, num_hidden_layers: layers } = config;
  const get = (name: string): Floats => {
    const found = weights.get(name) ?? weights.get(`bert.${name}`);
    if (!found) throw new FairlError("encode.model", `The model's weights have no ${name}`);
    return found.data;
  };
  const norm = (name: string): Norm => ({
    scale: get(`${name}.weight`),
    bias: get(`${name}.bias`),
    epsilon: config.layer_norm_eps,
  });
  const linear = (name: string): Linear => {
    const bias = get(`${name}.bias`);
    return { kernel: transposed(get(`${name}.weight`), bias.length), bias };
  };

  const segment = get("embeddings.token_type_embeddings.weight").subarray(0, width);
  const positions = get("embeddings.position_embeddings.weight")
    .map((value, index) => value + segment[index % width]!);
  const words = get("embeddings.word_embeddings.weight");

  const writer = new TransformerWriter();
  let state = writer.norm(
    "norm",
    writer.embed(words, positions, width),
    norm("embeddings.LayerNorm"),
  );
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `encoder.layer.${layer}`;
    const parts = ["query", "key", "value"].map((part) =>
      linear(`${prefix}.attention.self.${part}`)
    );
    const qkv = writer.linear(`${layer}/qkv`, state, scaleQueries(sideBySide(parts), heads));
    const mixed = writer.attention(`${layer}`, qkv, heads, width);
    const output = writer.linear(
      `${layer}/output`,
      mixed,
      linear(`${prefix}.attention.output.dense`),
    );
    const attended = writer.norm(
      `${layer}/norm`,
      writer.node("Add", [output, state], `${layer}/attended`),
      norm(`${prefix}.attention.output.LayerNorm`),
    );
    const inner = writer.linear(`${layer}/inner`, attended, linear(`${prefix}.intermediate.dense`));
    const hidden = writer.node("Gelu", [inner], `${layer}/hidden`);
    const outer = writer.linear(`${layer}/outer`, hidden, linear(`${prefix}.output.dense`));
    state = writer.norm(
      layer === layers - 1 ? "hidden" : `${layer}/state`,
      writer.node("Add", [outer, attended], `${layer}/sum`),
      norm(`${prefix}.output.LayerNorm`),
    );
  }
  return writer.model("bert", { hidden: ["rows", width] });
}

/** PyTorch keeps a layer as [outputs, inputs]. */
function transposed(weight: Floats, outputs: number): Floats {
  const inputs = weight.length / outputs;
  const result = new Float32Array(weight.length);
  for (let output = 0; output < outputs; output++) {
    for (let input = 0; input < inputs; input++) {
      result[input * outputs + output] = weight[output * inputs + input]!;
    }
  }
  return result;
}

/** Layers with the same inputs as one, their outputs after one another. */
function sideBySide(layers: readonly Linear[]): Linear {
  const each = layers[0]!.bias.length;
  const outputs = layers.length * each;
  const inputs = layers[0]!.kernel.length / each;
  const kernel = new Float32Array(inputs * outputs);
  const bias = new Float32Array(outputs);
  layers.forEach((layer, place) => {
    bias.set(layer.bias, place * each);
    for (let input = 0; input < inputs; input++) {
      const row = layer.kernel.subarray(input * each, (input + 1) * each);
      kernel.set(row, input * outputs + place * each);
    }
  });
  return { kernel, bias };
}
