/**
 * A runtime that fails on purpose, in the browser's own way: `options.fault` names how. The page around it is the real
 * one, and so is all that hears of errors.
 */
import '../../../webpayloads/src/worker/instruments';

import type { PageSpec } from '../../../webpayloads/src/contract';
import { serve } from '../../../webpayloads/src/worker/serve';

const GIB = 2 ** 30;

const faults: Record<string, () => Promise<unknown>> = {
  /** The address space of one process is never enough. */
  'array-buffer': async () => {
    for (const kept = []; ; ) kept.push(new ArrayBuffer(4 * GIB));
  },
  'wasm-memory': async () => {
    for (const kept = []; ; ) kept.push(new WebAssembly.Memory({ initial: 65_536, maximum: 65_536 }));
  },
  'gpu-buffer': async () => {
    const device = await requestDevice({ requiredLimits: { maxBufferSize: GIB } });
    device.pushErrorScope('out-of-memory');
    for (let count = 0; count < 256; count += 1) device.createBuffer({ size: GIB, usage: GPUBufferUsage.STORAGE });
    const error = await device.popErrorScope();
    if (error !== null) throw error;
  },
  'buffer-over-limit': async () => {
    const device = await requestDevice();
    device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: GPUBufferUsage.STORAGE });
    return goOn(device);
  },
  'binding-over-limit': async () => {
    const device = await requestDevice();
    const layout = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } }],
    });
    const size = device.limits.maxStorageBufferBindingSize + 4;
    const buffer = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
    device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });
    return goOn(device);
  },
  'request-over-limit': () => requestDevice({ requiredLimits: { maxBufferSize: 1024 * GIB } }),
  'workgroup-over-limit': async () => {
    const device = await requestDevice();
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1024) fn main() {}' });
    await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  },
  'float16-device': () => requestDevice({ requiredFeatures: ['shader-f16'] }),
  'float16-shader': async () => {
    const device = await requestDevice();
    device.createShaderModule({ code: 'enable f16; @compute @workgroup_size(1) fn main() {}' });
    return goOn(device);
  },
  'wait-on-gpu': async () => goOn(await requestDevice()),
  /** Runs into `unreachable`. */
  'wasm-unreachable': () => runWasm([0x00]),
  /** Reads the first byte after a memory of one page. */
  'wasm-out-of-bounds': () => runWasm([0x41, 0x80, 0x80, 0x04, 0x28, 0x02, 0x00, 0x1a]),
  'wasm-from-html': () => WebAssembly.compile(new TextEncoder().encode('<!DOCTYPE html><title>Sign in</title>')),
  /** What is left of a C++ exception that nobody caught: a pointer. */
  'bare-number': () => Promise.reject(1_957_528 as unknown as Error),
  'worker-ends': async () => {
    // After the page was told which lock this worker holds.
    await new Promise((resolve) => setTimeout(resolve, 500));
    self.close();
    return new Promise(() => undefined);
  },
  /** Over and over, until the test has lowered the quota: what `estimate()` says of it does not change then. */
  'cache-storage': () =>
    forever(async () => {
      await (await caches.open('models')).put('/part', new Response(new Uint8Array(32 * 2 ** 20)));
    }),
  'file-system': () =>
    forever(async () => {
      const file = await (await navigator.storage.getDirectory()).getFileHandle('model', { create: true });
      const writer = await file.createWritable();
      await writer.write(new Uint8Array(32 * 2 ** 20));
      await writer.close();
    }),
  riddle: async () => {
    void Promise.reject(new Error('a text that no row knows'));
    return new Promise(() => undefined);
  },
  'never-settles': () => new Promise(() => undefined),
};

async function requestDevice(descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) throw new Error('requestAdapter() returned null');
  return adapter.requestDevice(descriptor);
}

/** As runtimes do: keeps the device and gives it work, which is when Chrome sends its errors. */
function goOn(device: GPUDevice): Promise<never> {
  setInterval(() => {
    device.queue.submit([]);
  }, 100);
  return new Promise(() => undefined);
}

async function forever(store: () => Promise<void>): Promise<never> {
  for (;;) {
    await store();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Runs a WASM function with this body, in a module with one page of memory. */
async function runWasm(body: number[]): Promise<void> {
  const code = [0x00, ...body, 0x0b];
  const module = new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
    ...[0x03, 0x02, 0x01, 0x00],
    ...[0x05, 0x03, 0x01, 0x00, 0x01],
    ...[0x07, 0x07, 0x01, 0x03, 0x72, 0x75, 0x6e, 0x00, 0x00],
    ...[0x0a, code.length + 2, 0x01, code.length, ...code],
  ]);
  const { instance } = await WebAssembly.instantiate(module);
  (instance.exports.run as () => void)();
}

const nothing = (): Promise<never> => Promise.reject(new Error('a runtime that fails on purpose did not fail'));

serve({
  async init(spec: PageSpec) {
    await faults[String(spec.options.fault)]?.();
    return { threads: null };
  },
  prepare: nothing,
  run: nothing,
  validate: nothing,
  dispose: () => Promise.resolve(),
});
