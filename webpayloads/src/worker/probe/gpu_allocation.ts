/** How much GPU memory can be had at once, tried only where it cannot kill the tab. */
const MOST_BYTES = 512 * 2 ** 20;
const LARGEST_BUFFER_BYTES = 256 * 2 ** 20;
/** Below this, the GPU's memory is the tab's own, and scarce. */
const LEAST_DEVICE_MEMORY_GIB = 4;

export interface Allocation {
  gpu_allocated_bytes: number | null;
  /** What bounded it, or why it was not tried. */
  gpu_allocation_note: string;
}

export function notTried(reason: string): Allocation {
  return { gpu_allocated_bytes: null, gpu_allocation_note: `not tried: ${reason}` };
}

/** Why allocating might kill the tab, or null where it cannot. */
export function reasonNotToAllocate(
  adapter: Pick<GPUAdapterInfo, 'isFallbackAdapter' | 'architecture'>,
  { deviceMemory, userAgent }: { deviceMemory?: number; userAgent: string },
): string | null {
  if (adapter.isFallbackAdapter || adapter.architecture === 'swiftshader') return 'the adapter is software';
  if (/Android|iPhone|iPad|Mobile/.test(userAgent)) return 'a phone or tablet ends tabs that take much memory';
  if (deviceMemory === undefined) return 'the browser does not say how much memory the device has';
  if (deviceMemory < LEAST_DEVICE_MEMORY_GIB) return `the device has ${deviceMemory} GiB of memory`;
  return null;
}

/** Takes one buffer after another, and gives all of them back. Each is written to: untouched memory may be a promise. */
export async function allocate(device: GPUDevice): Promise<Allocation> {
  const size = Math.min(device.limits.maxBufferSize, LARGEST_BUFFER_BYTES);
  const buffers: GPUBuffer[] = [];
  let allocated = 0;
  try {
    while (allocated + size <= MOST_BYTES) {
      device.pushErrorScope('validation');
      device.pushErrorScope('out-of-memory');
      const buffer = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
      buffers.push(buffer);
      const encoder = device.createCommandEncoder();
      encoder.clearBuffer(buffer);
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      const refusals = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
      const refusal = refusals.find((error) => error !== null);
      if (refusal != null) {
        const note = `the GPU refused the next ${size} bytes: ${refusal.message}`;
        return { gpu_allocated_bytes: allocated, gpu_allocation_note: note };
      }
      allocated += size;
    }
    return { gpu_allocated_bytes: allocated, gpu_allocation_note: 'stopped at the probe’s own bound' };
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}
