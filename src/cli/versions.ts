/** Versions that an artefact or a report names. */
import configuration from "../../deno.json" with { type: "json" };

/** This toolkit, the language runtime, and what computes. */
export function versions(): Record<string, string> {
  const ort = configuration.imports["onnxruntime-web"];
  return {
    fairl: configuration.version,
    deno: Deno.version.deno,
    onnxruntime: ort.slice(ort.lastIndexOf("@") + 1),
  };
}
