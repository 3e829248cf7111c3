/** Tensors on the host and on the device. */
import { FairlError } from "../base/mod.ts";

/** Element types that go in and out of a graph. */
export type ElementType = "float32" | "float16" | "int32" | "int64" | "uint8" | "int8" | "bool";

/** The array that holds a type's elements on the host. */
export interface ElementArrays {
  /** 32-bit floats. */
  float32: Float32Array<ArrayBuffer>;
  /** 16-bit floats. */
  float16: Float16Array<ArrayBuffer>;
  /** 32-bit integers. */
  int32: Int32Array<ArrayBuffer>;
  /** 64-bit integers. */
  int64: BigInt64Array<ArrayBuffer>;
  /** Bytes. */
  uint8: Uint8Array<ArrayBuffer>;
  /** Signed bytes. */
  int8: Int8Array<ArrayBuffer>;
  /** Zeros and ones. */
  bool: Uint8Array<ArrayBuffer>;
}

/** A tensor in the memory of this process: elements in row-major order. */
export interface HostTensor<T extends ElementType = ElementType> {
  /** What its elements are. */
  readonly type: T;
  /** Its shape; empty for a scalar. */
  readonly dims: readonly number[];
  /** Its elements. */
  readonly data: ElementArrays[T];
}

/** A tensor that stayed on the device after a run and can be fed to the next one. */
export interface DeviceTensor {
  /** What its elements are. */
  readonly type: ElementType;
  /** Its shape; empty for a scalar. */
  readonly dims: readonly number[];
  /** Copies the elements to the host. */
  download(): Promise<HostTensor>;
  /** Gives the memory back; the tensor cannot be used afterwards. Calling it twice is harmless. */
  dispose(): void;
}

/** What a session takes and gives. */
export type Tensor = HostTensor | DeviceTensor;

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/**
 * A host tensor, its data checked against its shape.
 *
 * @throws FairlError `runtime.shape` when the number of elements does not fit the dimensions
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { tensor } from "./tensor.ts";
 * const weights = tensor("float32", [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
 * assert(weights.dims.join() === "2,3");
 * ```
 */
export function tensor<T extends ElementType>(
  type: T,
  dims: readonly number[],
  data: ElementArrays[T],
): HostTensor<T> {
  if (data.length !== sizeOf(dims)) {
    throw new FairlError(
      "runtime.shape",
      `${data.length} elements do not fill a tensor of shape [${dims.join(", ")}]`,
    );
  }
  return { type, dims, data };
}

/** A float32 scalar. */
export function scalar(value: number): HostTensor<"float32"> {
  return tensor("float32", [], Float32Array.of(value));
}

/** Tells a tensor that lies on the device from one in this process's memory. */
export function isDeviceTensor(value: Tensor): value is DeviceTensor {
  return "download" in value;
}
