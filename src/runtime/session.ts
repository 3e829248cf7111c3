/** Sessions: a graph loaded onto a device, ready to run. */
import { FairlError, messageOf } from "../base/mod.ts";
import { chooseDevice, cores, type Device, type DeviceRequest, requestAdapter } from "./device.ts";
import { loadOrt, type Ort, type OrtModule } from "./ort.ts";
import {
  type DeviceTensor,
  type ElementArrays,
  type ElementType,
  type HostTensor,
  isDeviceTensor,
  type Tensor,
} from "./tensor.ts";

/** How a runtime is opened. */
export interface RuntimeOptions {
  /**
   * Threads inside one run, for `wasm` and `native`. All cores by default. In wasm the first session
   * of the process settles it: onnxruntime starts its threads once.
   */
  threads?: number;
}

/** How a session is opened. */
export interface SessionOptions {
  /** Outputs that stay on the device: their names, or all of them. None by default. */
  resident?: readonly string[] | "all";
  /**
   * On WebGPU, fail when an operator would fall back to the CPU instead of copying its tensors out
   * and back unseen.
   */
  strict?: boolean;
  /** Threads inside one run, when other than the runtime's. */
  threads?: number;
}

/**
 * A device that graphs run on. Open it once, make sessions from it, close it.
 *
 * @example A graph that adds one, written with graph/ and run in wasm
 * ```ts
 * import { assert } from "@std/assert";
 * import { Runtime } from "./session.ts";
 * import { scalar, tensor } from "./tensor.ts";
 * import { encodeModel } from "../graph/onnx.ts";
 *
 * const model = encodeModel({
 *   name: "add-one",
 *   nodes: [{ op: "Add", inputs: ["x", "one"], outputs: ["y"] }],
 *   initializers: { one: scalar(1) },
 *   inputs: [{ name: "x", type: "float32", dims: ["n"] }],
 *   outputs: [{ name: "y", type: "float32", dims: ["n"] }],
 * });
 * await using runtime = await Runtime.open("wasm");
 * const session = await runtime.session(model);
 * const { y } = await session.run({ x: tensor("float32", [2], Float32Array.of(1, 2)) });
 * assert((await runtime.read(y!)).data.join() === "2,3");
 * ```
 */
export class Runtime implements AsyncDisposable {
  readonly #sessions = new Set<Session>();
  readonly #ort: OrtModule;
  readonly #gpu: GPUDevice | undefined;
  #live = 0;

  private constructor(
    /** The device that graphs run on. */
    readonly device: Device,
    /** True when the WebGPU adapter computes on the CPU. */
    readonly software: boolean,
    /** The name of the adapter or provider. */
    readonly detail: string,
    /** Why this device was taken. */
    readonly why: string,
    /** Threads inside one run. */
    readonly threads: number,
    ort: OrtModule,
    gpu: GPUDevice | undefined,
  ) {
    this.#ort = ort;
    this.#gpu = gpu;
  }

  /**
   * Opens a device.
   *
   * @throws FairlError `runtime.unavailable` when the device or its package is not there
   */
  static async open(
    request: DeviceRequest = "auto",
    options: RuntimeOptions = {},
  ): Promise<Runtime> {
    const { device, software, detail, why } = await chooseDevice(request);
    const ort = await loadOrt(device);
    const threads = options.threads ?? cores();
    if (device === "wasm") ort.env.wasm.numThreads = threads;
    const gpu = device === "webgpu" ? await openGpu() : undefined;
    return new Runtime(device, software, detail, why, threads, ort, gpu);
  }

  /** Tensors that runs left on the device and nobody has disposed of yet. */
  get liveTensors(): number {
    return this.#live;
  }

  /** Whether float16 tensors can be computed with on this device. */
  get hasFloat16(): boolean {
    return this.#gpu ? this.#gpu.features.has("shader-f16") : true;
  }

  /**
   * Loads a serialised ONNX model.
   *
   * @throws FairlError `runtime.model` when onnxruntime refuses the model
   */
  async session(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
    const settings = this.#settings(options);
    try {
      const create = () => this.#ort.InferenceSession.create(model, settings);
      const inner = await (this.device === "webgpu" ? queued(create) : create());
      const session = new Session(inner, this.device, this.#ort.Tensor, {
        opened: () => this.#live++,
        disposed: () => this.#live--,
        released: () => this.#sessions.delete(session),
      });
      this.#sessions.add(session);
      return session;
    } catch (error) {
      throw new FairlError("runtime.model", `The model was refused: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** The tensor in this process's memory, copied from the device where it lies there. */
  async read(value: Tensor): Promise<HostTensor> {
    return isDeviceTensor(value) ? await value.download() : value;
  }

  /** Releases every session. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of [...this.#sessions]) await session.dispose();
  }

  #settings(options: SessionOptions): Ort.InferenceSession.SessionOptions {
    const { resident, strict, threads = this.threads } = options;
    const provider = this.#gpu
      ? { name: "webgpu", device: this.#gpu }
      : this.device === "native"
      ? "cpu"
      : "wasm";
    const settings = {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
      ...(strict && this.device === "webgpu"
        ? { extra: { session: { disable_cpu_ep_fallback: "1" } } }
        : {}),
    } as Ort.InferenceSession.SessionOptions;
    if (this.device === "webgpu" && resident !== undefined) {
      settings.preferredOutputLocation = resident === "all"
        ? "gpu-buffer"
        : Object.fromEntries(resident.map((name) => [name, "gpu-buffer" as const]));
    }
    return settings;
  }
}

/** What a session tells the runtime it came from. */
interface SessionEvents {
  opened(): void;
  disposed(): void;
  released(): void;
}

/** A graph on a device. Runs on WebGPU wait for each other; the CPU providers have no such limit. */
export class Session implements AsyncDisposable {
  readonly #inner: Ort.InferenceSession;
  readonly #device: Device;
  readonly #Tensor: OrtModule["Tensor"];
  readonly #events: SessionEvents;
  #released = false;

  /** Sessions are made by {@linkcode Runtime.session}. */
  constructor(
    inner: Ort.InferenceSession,
    device: Device,
    Tensor: OrtModule["Tensor"],
    events: SessionEvents,
  ) {
    this.#inner = inner;
    this.#device = device;
    this.#Tensor = Tensor;
    this.#events = events;
  }

  /** Names of the graph's inputs. */
  get inputs(): readonly string[] {
    return this.#inner.inputNames;
  }

  /** Names of the graph's outputs. */
  get outputs(): readonly string[] {
    return this.#inner.outputNames;
  }

  /**
   * Runs the graph once.
   *
   * @param feeds One tensor for each input; device tensors are used where they lie
   * @param fetches Outputs to compute, all by default
   * @returns the outputs; those that stayed on the device are the caller's to dispose of
   * @throws FairlError `runtime.run` when onnxruntime reports an error
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: readonly string[],
  ): Promise<Record<string, Tensor>> {
    const inner: Record<string, Ort.Tensor> = {};
    for (const [name, value] of Object.entries(feeds)) inner[name] = this.#toOrt(value);
    const run = () => fetches ? this.#inner.run(inner, [...fetches]) : this.#inner.run(inner);
    let results: Ort.InferenceSession.OnnxValueMapType;
    try {
      results = await (this.#device === "webgpu" ? queued(run) : run());
    } catch (error) {
      throw new FairlError("runtime.run", `The graph did not run: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const outputs: Record<string, Tensor> = {};
    for (const [name, value] of Object.entries(results)) {
      outputs[name] = this.#fromOrt(value as Ort.Tensor);
    }
    return outputs;
  }

  /** Releases the graph and what it holds on the device. */
  async dispose(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#events.released();
    await (this.#device === "webgpu" ? queued(() => this.#inner.release()) : this.#inner.release());
  }

  /** The same as {@linkcode Session.dispose}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #toOrt(value: Tensor): Ort.Tensor {
    if (value instanceof ResidentTensor) return value.inner;
    const { type, dims, data } = value as HostTensor;
    return new this.#Tensor(type as "float32", data as Float32Array, dims);
  }

  #fromOrt(value: Ort.Tensor): Tensor {
    if (value.location === "gpu-buffer") {
      this.#events.opened();
      return new ResidentTensor(value, this.#events.disposed);
    }
    const data = value.data as ElementArrays[ElementType];
    return { type: value.type as ElementType, dims: value.dims, data };
  }
}

/** A tensor in a GPU buffer that onnxruntime owns. */
class ResidentTensor implements DeviceTensor {
  #disposed = false;
  readonly #onDispose: () => void;

  constructor(readonly inner: Ort.Tensor, onDispose: () => void) {
    this.#onDispose = onDispose;
  }

  get type(): ElementType {
    return this.inner.type as ElementType;
  }

  get dims(): readonly number[] {
    return this.inner.dims;
  }

  async download(): Promise<HostTensor> {
    const data = await queued(() => this.inner.getData());
    return { type: this.type, dims: this.dims, data: data as ElementArrays[ElementType] };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.inner.dispose();
    this.#onDispose();
  }
}

/**
 * The one queue of the WebGPU provider: two runs, loads or downloads at once hang or fail there, in
 * one session or in two.
 */
let tail: Promise<unknown> = Promise.resolve();
function queued<T>(work: () => Promise<T>): Promise<T> {
  const result = tail.then(work);
  tail = result.catch(() => {});
  return result;
}

let gpu: Promise<GPUDevice> | undefined;

/** The one GPU device of this process: onnxruntime keeps the first it is given. */
function openGpu(): Promise<GPUDevice> {
  gpu ??= (async () => {
    const adapter = await requestAdapter();
    if (!adapter) throw new FairlError("runtime.unavailable", "No WebGPU adapter was found");
    const { limits } = adapter;
    return await adapter.requestDevice({
      requiredFeatures: (["shader-f16", "subgroups", "timestamp-query"] as GPUFeatureName[])
        .filter((feature) => adapter.features.has(feature)),
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
        maxComputeWorkgroupSizeY: limits.maxComputeWorkgroupSizeY,
        maxComputeWorkgroupSizeZ: limits.maxComputeWorkgroupSizeZ,
        maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
        maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      },
    });
  })();
  return gpu;
}
