/** Workers that a runtime starts of its own: what they see and hear counts as this worker's. */
import type { GpuMemory } from '../contract';
import type { FromWorker, Observed } from '../messages';

/** What a nested worker says to the one that started it, beside what the runtime's two halves say to each other. */
export type FromNested =
  Extract<FromWorker, { type: 'heard' | 'adapter' }> | { type: 'observed'; observed: Observed };

/** Everything together. The peaks of several workers need not coincide: their sum is an upper bound. */
export function total(own: Observed, nested: Iterable<Observed>): Observed {
  let sum = own;
  for (const one of nested) {
    sum = {
      ...sum,
      wasm_peak_bytes: plus(sum.wasm_peak_bytes, one.wasm_peak_bytes),
      gpu_memory: together(sum.gpu_memory, one.gpu_memory),
    };
  }
  return sum;
}

function plus(one: number | null, two: number | null): number | null {
  return one === null || two === null ? (one ?? two) : one + two;
}

function together(one: GpuMemory | null, two: GpuMemory | null): GpuMemory | null {
  if (one === null || two === null) return one ?? two;
  return {
    buffers: one.buffers + two.buffers,
    largest_buffer_bytes: Math.max(one.largest_buffer_bytes, two.largest_buffer_bytes),
    live_bytes: one.live_bytes + two.live_bytes,
    peak_bytes: one.peak_bytes + two.peak_bytes,
  };
}
