/** The only file that names onnxruntime's packages; each is loaded when it is first used. */
import type * as Ort from "onnxruntime-web";
import { FairlError, messageOf } from "../base/mod.ts";
import type { Device } from "./device.ts";
import { growSharedMemorySeldom } from "./memory.ts";

export type { Ort };
/** The part of onnxruntime's interface that its three packages share. */
export type OrtModule = Pick<typeof Ort, "InferenceSession" | "Tensor" | "env">;

/**
 * The package of the native CPU provider: 113 MB to fetch, so only on request. Deno fetches whatever
 * deno.json's lock file names at each start, so this package is named here and not there.
 */
export const NATIVE_PACKAGE = "onnxruntime-node";
/** Its version. */
export const NATIVE_VERSION = "1.30.0";

/**
 * The package of each device. The names are looked up in deno.json when they are imported, so a
 * package that a run does not use is neither fetched nor loaded. `onnxruntime-web` by itself
 * resolves to its node build, the one whose wasm threads work in Deno.
 */
const PACKAGES: Record<Device, string> = {
  webgpu: "onnxruntime-web/webgpu",
  native: `npm:${NATIVE_PACKAGE}@${NATIVE_VERSION}`,
  wasm: "onnxruntime-web",
};

const loaded = new Map<Device, Promise<OrtModule>>();

/** Whether this process has loaded a device's package, or is loading it. */
export function isImported(device: Device): boolean {
  return loaded.has(device);
}

/**
 * Loads the package that runs graphs on a device, fetching it where Deno's cache lacks it.
 *
 * @throws FairlError `runtime.unavailable` when it cannot be imported
 */
export function loadOrt(device: Device): Promise<OrtModule> {
  let module = loaded.get(device);
  if (!module) {
    module = importOrt(device);
    loaded.set(device, module);
    module.catch(() => loaded.delete(device));
  }
  return module;
}

async function importOrt(device: Device): Promise<OrtModule> {
  const name = PACKAGES[device];
  if (device === "wasm") growSharedMemorySeldom();
  try {
    const module = await import(name);
    const ort = (module.InferenceSession ? module : module.default) as OrtModule;
    ort.env.logLevel = "error";
    return ort;
  } catch (error) {
    throw new FairlError(
      "runtime.unavailable",
      `${name} could not be loaded: ${messageOf(error).split("\n")[0]}`,
      { cause: error },
    );
  }
}
