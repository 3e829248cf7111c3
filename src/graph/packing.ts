/** Parameters side by side in few long vectors, so that an update runs once and not once for each. */
import { FairlError } from "../base/mod.ts";
import { type ElementArrays, type HostTensor, sizeOf, tensor } from "../runtime/mod.ts";
import { reshape, split } from "./ops/mod.ts";
import { constant, type Value } from "./value.ts";

/** Larger parameters stay by themselves: copying them into place would cost more than it saves. */
const LARGE = 1 << 17;

/** What is trained, by name. */
export interface ParameterSpec {
  /** Its initial elements. */
  readonly value: HostTensor<"float32">;
  /** Whether weight decay reaches it; true by default. */
  readonly decay?: boolean;
  /** A matrix that {@linkcode muon} is to orthogonalise the moves of; other optimizers do not ask. */
  readonly orthogonal?: boolean;
}

/** Equal matrices that make up a vector. */
export interface Matrices {
  /** How many. */
  readonly count: number;
  /** Rows of each. */
  readonly rows: number;
  /** Columns of each. */
  readonly columns: number;
}

/** Where a parameter lies. */
interface Place {
  readonly name: string;
  readonly dims: readonly number[];
  readonly size: number;
  readonly decay: boolean;
}

/** Parameters that lie in one vector. */
export class Pack {
  /** Length of the vector. */
  readonly size: number;

  /** What the vector is, where its parameters are matrices to be orthogonalised. */
  readonly matrices: Matrices | undefined;

  /** Packs are made by {@linkcode packsOf}. */
  constructor(readonly places: readonly Place[], orthogonal = false) {
    this.size = places.reduce((sum, { size }) => sum + size, 0);
    const [rows, columns] = places[0]!.dims as [number, number];
    this.matrices = orthogonal ? { count: places.length, rows, columns } : undefined;
  }

  /** Which elements decay: all, none, or a vector of ones and zeros. */
  get decay(): boolean | Value {
    const [first, ...rest] = this.places.map(({ decay }) => decay);
    if (rest.every((one) => one === first)) return first!;
    const data = this.#filled(({ decay, size }) => new Float32Array(size).fill(decay ? 1 : 0));
    return constant(tensor("float32", [this.size], data));
  }

  /** The parameters out of the vector. */
  unpack(vector: Value): Record<string, Value> {
    const pieces = split(vector, this.places.map(({ size }) => size));
    return Object.fromEntries(
      this.places.map(({ name, dims }, at) => [name, reshape(pieces[at]!, dims)]),
    );
  }

  /** The vector out of host tensors. */
  packTensors(tensors: Readonly<Record<string, HostTensor>>): HostTensor<"float32"> {
    const data = this.#filled(({ name }) => tensors[name]!.data as ElementArrays["float32"]);
    return tensor("float32", [this.size], data);
  }

  /** Host tensors out of a vector, each with memory of its own. */
  unpackTensors({ data }: HostTensor): Record<string, HostTensor<"float32">> {
    const result: Record<string, HostTensor<"float32">> = {};
    let at = 0;
    for (const { name, dims, size } of this.places) {
      result[name] = tensor("float32", dims, (data as Float32Array).slice(at, at + size));
      at += size;
    }
    return result;
  }

  #filled(piece: (place: Place) => Float32Array): Float32Array<ArrayBuffer> {
    const data = new Float32Array(this.size);
    let at = 0;
    for (const place of this.places) {
      data.set(piece(place), at);
      at += place.size;
    }
    return data;
  }
}

/**
 * One pack of all small parameters, and one for each large one; matrices to be orthogonalised lie with
 * those of their shape.
 *
 * @throws FairlError `graph.shape` when one to be orthogonalised is no matrix
 */
export function packsOf(parameters: Readonly<Record<string, ParameterSpec>>): Pack[] {
  const places = Object.entries(parameters).map(([name, spec]) => {
    const { value: { dims }, decay = true, orthogonal = false } = spec;
    if (orthogonal && dims.length !== 2) {
      throw new FairlError("graph.shape", `"${name}" is no matrix and cannot be orthogonalised`);
    }
    return { name, dims, size: sizeOf(dims), decay, orthogonal };
  });
  const plain = places.filter(({ orthogonal }) => !orthogonal);
  const small = plain.filter(({ size }) => size <= LARGE);
  const large = plain.filter(({ size }) => size > LARGE);
  const shapes = Map.groupBy(
    places.filter(({ orthogonal }) => orthogonal),
    ({ dims }) => dims.join(),
  );
  return [
    ...[...(small.length ? [small] : []), ...large.map((one) => [one])].map((group) =>
      new Pack(group)
    ),
    ...[...shapes.values()].map((group) => new Pack(group, true)),
  ];
}
