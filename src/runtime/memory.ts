/** Shared wasm memory that grows seldom and lets the other threads see it. */

/** Bytes of a page of wasm memory. */
const PAGE = 65_536;
/** Memory grows to multiples of this: address space, of which only what is used takes memory. */
const PIECE = 1024 ** 3;
/** Milliseconds that a growth waits for the other threads. */
const SEEN_AFTER = 5;

let done = false;

/**
 * Makes shared wasm memories of this process grow in large pieces.
 *
 * V8 tells other threads that a shared memory has grown, and they hear it at their next stack check. A
 * thread of onnxruntime's pool that reads a tensor in the new part before that traps (measured: one run
 * in six that allocates between parallel sections), ends, and the main thread waits for it forever. So
 * memory grows to the next GiB at once, and each of these few growths gives the threads time to hear of it.
 */
export function growSharedMemorySeldom(): void {
  if (done) return;
  done = true;
  const { prototype } = WebAssembly.Memory;
  const grow = prototype.grow;
  prototype.grow = function (this: WebAssembly.Memory, pages: number): number {
    if (!(this.buffer instanceof SharedArrayBuffer)) return grow.call(this, pages);
    const { byteLength } = this.buffer;
    const wanted = byteLength + pages * PAGE;
    const roomy = Math.ceil(wanted / PIECE) * PIECE;
    let before: number;
    try {
      before = grow.call(this, (roomy - byteLength) / PAGE);
    } catch {
      // Its maximum, or the system's limit on address space, lies below that.
      before = grow.call(this, pages);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SEEN_AFTER);
    return before;
  };
}
