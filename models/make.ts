/**
 * Makes the shipped models again, each from public data and the models before it.
 *
 *     deno task models base|toxicity|aligned|prompts [device]
 */
import type { DeviceRequest } from "../src/runtime/mod.ts";

const [what, device = "auto"] = Deno.args;
if (what === "base") {
  const { makeBase } = await import("./base.ts");
  await makeBase("models/comments-base", device as DeviceRequest);
} else if (what === "toxicity") {
  const { makeToxicity } = await import("./toxicity.ts");
  await makeToxicity("models/toxicity.json");
} else if (what === "aligned") {
  const { makeAligned } = await import("./aligned.ts");
  await makeAligned(
    "models/comments-base",
    "models/toxicity.json",
    "models/comments-aligned",
    device as DeviceRequest,
  );
} else if (what === "prompts") {
  const { makePrompts } = await import("./prompts.ts");
  await makePrompts("models/toxicity.json", "models/prompts.json");
} else {
  throw new Error(`"${what ?? ""}" is none of base, toxicity, aligned, prompts`);
}
