/** A runtime that fails on purpose, the real browser's real way: `options.fault` names how. The page around it is real. */
import '../../../webpayloads/src/worker/instruments';

import type { PageSpec } from '../../../webpayloads/src/contract';
import { serve } from '../../../webpayloads/src/worker/serve';

/** Larger than any engine's address space, and than any GPU's. */
const HUGE_BYTES = 2 ** 46;
const BIG_GPU_BYTES = 2 ** 30;

const faults: Record<string, () => Promise<unknown>> = {
  async 'array-buffer'() {
    const kept = [];
    for (;;) kept.push(new ArrayBuffer(2**32));
  },
  async 'wasm-memory'() {
    const kept = [];
    for (;;) kept.push(new WebAssembly.Memory({ initial: 65_536, maximum: 65_536 }));
  },
  /** Mapped at creation: the memory must be there at once, and not when it is first written to. */
  async 'gpu-buffer'() {
    const device = await requestDevice({ requiredLimits: { maxBufferSize: BIG_GPU_BYTES } });
    const kept = [];
    device.pushErrorScope('out-of-memory');
    for (let index = 0; index < 256; index += 1) {
      kept.push(device.createBuffer({ size: BIG_GPU_BYTES, usage: GPUBufferUsage.STORAGE }));
    }
    const error = await device.popErrorScope();
    if (error !== null) throw error;
    throw new Error(`the GPU gave ${kept.length} buffers`);
  },
  async 'gpu-buffer-limit'() {
    const device = await requestDevice({});
    device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: GPUBufferUsage.STORAGE });
    return goOn(device);
  },
  async 'gpu-binding-limit'() {
    const device = await requestDevice({});
    const layout = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: 'storage' } }],
    });
    const size = device.limits.maxStorageBufferBindingSize + 4;
    const buffer = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE });
    device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });
    return goOn(device);
  },
  async 'gpu-workgroup-limit'() {
    const device = await requestDevice({});
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1024) fn main() {}' });
    await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  },
  async 'gpu-required-limit'() {
    return requestDevice({ requiredLimits: { maxBufferSize: 2 ** 40 } });
  },
  async 'gpu-feature'() {
    return requestDevice({ requiredFeatures: ['shader-f16'] });
  },
  async 'gpu-shader-f16'() {
    const device = await requestDevice({});
    device.createShaderModule({ code: 'enable f16; @compute @workgroup_size(1) fn main() { var x: f16 = 1.0h; }' });
    return goOn(device);
  },
  async 'gpu-lost'() {
    const device = await requestDevice({});
    await device.lost;
    return new Promise(() => undefined);
  },
  async 'gpu-destroyed'() {
    (await requestDevice({})).destroy();
    return new Promise(() => undefined);
  },
  /** An export that runs into `unreachable`. */
  async 'wasm-unreachable'() {
    (await trap([0x00])).run();
  },
  /** An export that reads at the end of a memory of one page. */
  async 'wasm-out-of-bounds'() {
    (await trap([0x41, 0x80, 0x80, 0x04, 0x28, 0x02, 0x00, 0x1a])).run();
  },
  async 'wasm-html'() {
    return WebAssembly.compile(new TextEncoder().encode('<!DOCTYPE html><title>Sign in</title>'));
  },
  async 'bare-number'() {
    throw 1_957_528;
  },
  async 'cache-storage'() {
    const cache = await caches.open('models');
    for (let index = 0; ; index += 1) await cache.put(`/part-${index}`, new Response(new Uint8Array(2 ** 20)));
  },
  async 'file-system'() {
    const file = await (await navigator.storage.getDirectory()).getFileHandle('model', { create: true });
    const writer = await file.createWritable();
    await writer.write(new Uint8Array(32 * 2 ** 20));
    await writer.close();
  },
  async 'worker-close'() {
    await new Promise((resolve) => setTimeout(resolve, 500));
    self.close();
    return new Promise(() => undefined);
  },
  async 'late-error'() {
    void Promise.reject(new Error('nobody has seen this text yet'));
    return new Promise(() => undefined);
  },
  async 'never-settles'() {
    return new Promise(() => undefined);
  },
};

async function goOn(device: GPUDevice): Promise<never> {
  (self as any).kept = device;
  device.queue.submit([]);
  return new Promise(() => undefined);
}

async function requestDevice(descriptor: GPUDeviceDescriptor): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) throw new Error('requestAdapter() returned null');
  return adapter.requestDevice(descriptor);
}

/** A WASM module of one function `run` with this body, and one page of memory. */
async function trap(body: number[]): Promise<{ run(): void }> {
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
  return instance.exports as unknown as { run(): void };
}

serve({
  async init(spec: PageSpec) {
    await faults[String(spec.options.fault)]?.();
    return { threads: null };
  },
  prepare: () => Promise.resolve(),
  run: () => Promise.reject(new Error('a runtime that fails on purpose has nothing to run')),
  validate: () => Promise.reject(new Error('a runtime that fails on purpose has nothing to say')),
  dispose: () => Promise.resolve(),
});
