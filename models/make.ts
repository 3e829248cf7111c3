/**
 * Makes the shipped models again, each from public data and the models before it.
 *
 *     deno task models all|toxicity|base|aligned|prompts|cards [device]
 *
 * A run that was stopped goes on from its checkpoint in .cache/models. `cards` measures the models that are
 * there and leaves their weights as they are.
 */
import type { DeviceRequest } from "../src/runtime/mod.ts";

const STEPS: Readonly<Record<string, (device: DeviceRequest) => Promise<void>>> = {
  async toxicity() {
    const { makeToxicity } = await import("./toxicity.ts");
    await makeToxicity("models/toxicity.json");
  },
  async base(device) {
    const { makeBase } = await import("./base.ts");
    await makeBase("models/comments-base", device);
  },
  async aligned(device) {
    const { makeAligned } = await import("./aligned.ts");
    await makeAligned(
      "models/comments-base",
      "models/toxicity.json",
      "models/comments-aligned",
      device,
    );
  },
  async prompts() {
    const { makePrompts } = await import("./prompts.ts");
    await makePrompts("models/toxicity.json", "models/prompts.json");
  },
  async cards(device) {
    const { makeCards } = await import("./cards.ts");
    await makeCards("models", device);
  },
};

const [what = "", device = "auto"] = Deno.args;
if (what !== "all" && !(what in STEPS)) {
  throw new Error(`"${what}" is none of all, ${Object.keys(STEPS).join(", ")}`);
}
for (const step of what === "all" ? Object.keys(STEPS) : [what]) {
  await STEPS[step]!(device as DeviceRequest);
}
