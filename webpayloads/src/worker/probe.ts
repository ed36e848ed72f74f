/** The probe: what this browser can do, found out in a second or two and before any model is downloaded. */
import './instruments';

import type { MatrixProduct, ProbeResult } from '../contract';
import { RUNTIMES } from '../runtimes';
import type { Start } from '../messages';
import type { Course, Host } from './host';
import { downloadRate } from './probe/bandwidth';
import { allocate, notTried, reasonNotToAllocate, type Allocation } from './probe/gpu_allocation';
import { gpuProduct } from './probe/gpu_product';
import { wasmFeatures } from './probe/wasm_features';
import { wasmProduct } from './probe/wasm_product';
import { serveCourse } from './serve';

/** No part may keep the others waiting for longer. */
const LONGEST_PART_MS = 5_000;
/** The largest file that every build of the pages has. */
const BULK = { runtime: 'transformers.js', file: 'ort-wasm-simd-threaded.asyncify.wasm' } as const;

class Probe implements Course {
  #device: GPUDevice | null = null;

  async run({ base }: Start, host: Host): Promise<void> {
    await host.enter('measure');
    const start = performance.now();
    const result: ProbeResult = { duration_ms: 0, wasm: wasmFeatures(WebAssembly) };
    const products: MatrixProduct[] = [];
    // One after the other, since they would measure each other; what fails costs none of the rest.
    const part = async (name: string, work: () => Promise<void>): Promise<void> => {
      try {
        await host.hearing.watch(inTime(work()));
      } catch (reason) {
        host.hearing.hear(new Error(`the probe's ${name} failed`, { cause: reason }), 'exception', false);
      }
    };
    await part('storage estimate', async () => {
      const { quota, usage } = await navigator.storage.estimate();
      result.storage_quota_bytes = quota ?? null;
      result.storage_usage_bytes = usage ?? null;
    });
    await part('download', async () => {
      const address = bulkAddress(base);
      if (address !== null) result.download_bytes_per_second = await downloadRate(address, (url, init) => fetch(url, init));
    });
    await part('matrix product on WASM', async () => {
      products.push(await wasmProduct());
    });
    let adapter: GPUAdapter | null = null;
    await part('look for a GPU', async () => {
      adapter = (await (navigator as { gpu?: GPU }).gpu?.requestAdapter()) ?? null;
    });
    Object.assign(result, await this.#tryGpu(adapter, part, products));
    result.matrix_products = products;
    result.duration_ms = performance.now() - start;
    await host.pass({ at: 'probe', result });
  }

  dispose(): Promise<void> {
    this.#device?.destroy();
    return Promise.resolve();
  }

  async #tryGpu(
    adapter: GPUAdapter | null,
    part: (name: string, work: () => Promise<void>) => Promise<void>,
    products: MatrixProduct[],
  ): Promise<Allocation> {
    if (adapter === null) return notTried('there is no WebGPU adapter');
    const { maxBufferSize } = adapter.limits;
    await part('GPU device', async () => {
      this.#device = await adapter.requestDevice({ requiredLimits: { maxBufferSize } });
    });
    const device = this.#device;
    if (device === null) return notTried('the adapter gave no device');
    await part('matrix product on WebGPU', async () => {
      products.push(await gpuProduct(device));
    });
    const reason = reasonNotToAllocate(adapter.info, navigator);
    if (reason !== null) return notTried(reason);
    let allocation = notTried('the attempt failed');
    await part('GPU allocation', async () => {
      allocation = await allocate(device);
    });
    return allocation;
  }
}

async function inTime(work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${LONGEST_PART_MS} ms`));
    }, LONGEST_PART_MS);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function bulkAddress(base: string): URL | null {
  const [version] = Object.keys(RUNTIMES[BULK.runtime]?.versions ?? {});
  return version === undefined ? null : new URL(`assets/${BULK.runtime}-${version}/${BULK.file}`, base);
}

serveCourse(new Probe());
