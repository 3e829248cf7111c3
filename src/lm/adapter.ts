/** Low-rank adapters in files as PEFT reads them. */
import { z } from "zod";
import { FairlError, messageOf } from "../base/mod.ts";
import { readSafetensors, writeSafetensors } from "../hub/mod.ts";
import { type HostTensor, tensor } from "../runtime/mod.ts";
import type { DecoderWeights } from "./config.ts";
import type { LoraSettings } from "./trainable.ts";

/** An adapter on its own. */
export interface SavedAdapter {
  /** `NAME.weight.a`, `[rank, in]`, and `NAME.weight.b`, `[out, rank]`, for each adapted layer. */
  readonly parameters: DecoderWeights;
  /** How they are scaled. */
  readonly settings: LoraSettings;
}

const PREFIX = "base_model.model.";
const schema = z.object({
  peft_type: z.literal("LORA"),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
});

/**
 * The files of an adapter by name, as PEFT's `PeftModel.from_pretrained` takes them.
 *
 * @param base Name of the model that it belongs to
 */
export function adapterFiles(
  base: string,
  { parameters, settings: { rank, alpha = 2 * rank } }: SavedAdapter,
): Record<string, Uint8Array<ArrayBuffer>> {
  const named = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [
      PREFIX +
      name.replace(/\.weight\.([ab])$/, (_, side) => `.lora_${side.toUpperCase()}.weight`),
      value,
    ]),
  );
  const targets = new Set(Object.keys(parameters).map((name) => name.split(".").at(-3)!));
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    target_modules: [...targets].sort(),
  };
  return {
    "adapter_config.json": new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`),
    "adapter_model.safetensors": writeSafetensors(named, "F32"),
  };
}

/**
 * Reads an adapter that {@linkcode adapterFiles} or PEFT wrote.
 *
 * @throws FairlError `lm.adapter` when the files are none
 */
export function readAdapter(
  config: Uint8Array<ArrayBuffer>,
  weights: Uint8Array<ArrayBuffer>,
): SavedAdapter {
  let parsed: z.infer<typeof schema>;
  try {
    parsed = schema.parse(JSON.parse(new TextDecoder().decode(config)));
  } catch (cause) {
    const reason = messageOf(cause).split("\n")[0];
    throw new FairlError("lm.adapter", `adapter_config.json is none of LoRA: ${reason}`, { cause });
  }
  const parameters: Record<string, HostTensor<"float32">> = {};
  for (const [name, { dims, data }] of readSafetensors(weights)) {
    const side = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(name);
    if (!side) throw new FairlError("lm.adapter", `${name} belongs to no LoRA adapter`);
    parameters[`${side[1]}.weight.${side[2]!.toLowerCase()}`] = tensor("float32", dims, data);
  }
  return { parameters, settings: { rank: parsed.r, alpha: parsed.lora_alpha } };
}
