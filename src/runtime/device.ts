/** Which devices this machine has, and which one `auto` takes. */
import { join } from "@std/path";
import { FairlError } from "../base/mod.ts";
import { isImported, NATIVE_PACKAGE, NATIVE_VERSION } from "./ort.ts";

/** Where a graph runs: WebGPU, onnxruntime-node's CPU provider, or onnxruntime-web's wasm CPU provider. */
export type Device = "webgpu" | "native" | "wasm";

/** What a user may ask for. */
export const DEVICE_REQUESTS = ["auto", "webgpu", "native", "wasm"] as const;
/** One of {@linkcode DEVICE_REQUESTS}. */
export type DeviceRequest = typeof DEVICE_REQUESTS[number];

/** What is known of one device of this machine. */
export interface DeviceInfo {
  /** Its name. */
  readonly device: Device;
  /** Whether a session can be opened on it. */
  readonly available: boolean;
  /** True for a WebGPU adapter that computes on the CPU. `auto` never takes one. */
  readonly software: boolean;
  /** The adapter's or provider's name, or why there is none. */
  readonly detail: string;
}

/** Every device with what is known of it, in the order in which `auto` prefers them. */
export async function listDevices(): Promise<DeviceInfo[]> {
  return [await probeWebgpu(), await probeNative(), probeWasm()];
}

/**
 * Picks a device.
 *
 * `auto` takes a hardware WebGPU adapter, else onnxruntime-node where it has been fetched, else
 * wasm. A software WebGPU adapter is used only when `webgpu` is asked for by name.
 *
 * @returns the device and a sentence that says why it was picked
 * @throws FairlError `runtime.unavailable` when the device asked for is not there
 *
 * @example Asking for the CPU provider in wasm
 * ```ts
 * import { assert } from "@std/assert";
 * import { chooseDevice } from "./device.ts";
 * const { device } = await chooseDevice("wasm");
 * assert(device === "wasm");
 * ```
 */
export async function chooseDevice(
  request: DeviceRequest,
): Promise<DeviceInfo & { why: string }> {
  if (request !== "auto") {
    const probe = { webgpu: probeWebgpu, native: probeNative, wasm: probeWasm }[request];
    const info = await probe();
    if (!info.available) {
      throw new FairlError("runtime.unavailable", `No ${request} device: ${info.detail}`);
    }
    return { ...info, why: `${request} was asked for` };
  }
  return autoChoice(await listDevices());
}

/** What `auto` takes of the devices that a machine has. */
export function autoChoice(devices: readonly DeviceInfo[]): DeviceInfo & { why: string } {
  const webgpu = devices.find((info) => info.device === "webgpu" && info.available);
  if (webgpu && !webgpu.software) return { ...webgpu, why: "a hardware WebGPU adapter is there" };
  const passedOver = webgpu
    ? "the only WebGPU adapter is a software one"
    : "there is no WebGPU adapter";
  const native = devices.find((info) => info.device === "native" && info.available);
  if (native) return { ...native, why: `${passedOver}; onnxruntime-node is there` };
  const wasm = devices.find((info) => info.device === "wasm")!;
  return {
    ...wasm,
    why: `${passedOver}, and onnxruntime-node is not fetched (fairl fetch native gets it)`,
  };
}

async function probeWebgpu(): Promise<DeviceInfo> {
  const adapter = await requestAdapter();
  if (!adapter) {
    return { device: "webgpu", available: false, software: false, detail: "no adapter was found" };
  }
  const { description, vendor, isFallbackAdapter } = adapter.info;
  return {
    device: "webgpu",
    available: true,
    software: isFallbackAdapter,
    detail: `${description || vendor || "adapter"}${isFallbackAdapter ? " (software)" : ""}`,
  };
}

/** The one adapter of this process: asking for it again would start the driver again. */
export function requestAdapter(): Promise<GPUAdapter | null> {
  adapter ??= (async () => {
    quietVulkanLoader();
    return await navigator.gpu?.requestAdapter() ?? null;
  })();
  return adapter;
}
let adapter: Promise<GPUAdapter | null> | undefined;

/**
 * Vulkan loaders print an error to stderr when XDG_RUNTIME_DIR is not set, as in most containers
 * and services. No display is used here, so any value silences it.
 */
function quietVulkanLoader(): void {
  if (Deno.build.os !== "linux") return;
  const name = "XDG_RUNTIME_DIR";
  const query = { name: "env", variable: name } as const;
  if (Deno.permissions.querySync(query).state !== "granted") return;
  if (!Deno.env.get(name)) Deno.env.set(name, "/tmp");
}

async function probeNative(): Promise<DeviceInfo> {
  const folder = await nativePackageFolder();
  const available = folder !== undefined || isImported("native");
  return {
    device: "native",
    available,
    software: false,
    detail: available
      ? `${NATIVE_PACKAGE} ${NATIVE_VERSION}, ${cores()} cores`
      : `${NATIVE_PACKAGE} ${NATIVE_VERSION} is not fetched (fairl fetch native gets it)`,
  };
}

function probeWasm(): DeviceInfo {
  return {
    device: "wasm",
    available: true,
    software: false,
    detail: `onnxruntime-web, ${cores()} cores`,
  };
}

/** Logical processors. */
export function cores(): number {
  return navigator.hardwareConcurrency;
}

/**
 * The folder in Deno's package cache that holds onnxruntime-node, when it was fetched before.
 * Importing it to find out would download 113 MB on a machine that never asked for it.
 */
async function nativePackageFolder(): Promise<string | undefined> {
  for (const root of packageCaches()) {
    try {
      for await (const registry of Deno.readDir(root)) {
        const folder = join(root, registry.name, NATIVE_PACKAGE, NATIVE_VERSION);
        if (await Deno.stat(join(folder, "package.json")).then(() => true, () => false)) {
          return folder;
        }
      }
    } catch {
      // No such cache, or no right to look at it: then the package is not there for us.
    }
  }
  return undefined;
}

/** Where Deno keeps npm packages: DENO_DIR, else the user's cache folder. */
function packageCaches(): string[] {
  const get = (name: string) =>
    Deno.permissions.querySync({ name: "env", variable: name }).state === "granted"
      ? Deno.env.get(name)
      : undefined;
  if (get("DENO_DIR")) return [join(get("DENO_DIR")!, "npm")];
  const home = get("HOME");
  const roots = [
    get("XDG_CACHE_HOME") && join(get("XDG_CACHE_HOME")!, "deno"),
    home &&
    (Deno.build.os === "darwin" ? join(home, "Library/Caches/deno") : join(home, ".cache/deno")),
    get("LOCALAPPDATA") && join(get("LOCALAPPDATA")!, "deno"),
  ];
  return roots.filter((root) => typeof root === "string" && root !== "").map((root) =>
    join(root as string, "npm")
  );
}
