/** The parts of the probe that need no browser. */
import { expect, test, vi } from 'vitest';

import { downloadRate } from '../src/worker/probe/bandwidth';
import { allocate, reasonNotToAllocate } from '../src/worker/probe/gpu_allocation';
import { repeatFor, toProduct } from '../src/worker/probe/samples';
import { wasmFeatures } from '../src/worker/probe/wasm_features';
import { unsigned, wasmModule } from '../src/worker/probe/wasm_module';
import { newMultiplier, wasmProduct } from '../src/worker/probe/wasm_product';

test('numbers are written as LEB128', () => {
  expect([0, 127, 128, 300, 65_536].map((value) => unsigned(value))).toEqual([
    [0],
    [0x7f],
    [0x80, 0x01],
    [0xac, 0x02],
    [0x80, 0x80, 0x04],
  ]);
});

test('a module of an unknown instruction is not valid, one without any is', () => {
  const noArguments = { parameters: [], results: [] };
  expect(WebAssembly.validate(wasmModule({ function: { ...noArguments, body: [] } }))).toBe(true);
  expect(WebAssembly.validate(wasmModule({ function: { ...noArguments, body: [0xff] } }))).toBe(false);
});

test('features are told apart by what the browser accepts', () => {
  // What every engine that runs this test has; the acceptance test asks a browser for the rest.
  const features = wasmFeatures(WebAssembly);
  expect(features).toMatchObject({ simd: true, threads: true, exceptions: true });
  expect(features.jspi).toBe('Suspending' in WebAssembly);
  const none = { validate: () => false } as unknown as typeof WebAssembly;
  expect(Object.values(wasmFeatures(none))).toEqual(Array.from({ length: 6 }, () => false));
});

test('each feature is asked for with a module of its own', () => {
  const asked = new Set<string>();
  const scope = { validate: (bytes: Uint8Array) => Boolean(asked.add(bytes.join())) };
  wasmFeatures(scope as unknown as typeof WebAssembly);
  expect(asked.size).toBe(5);
});

test('the WASM kernel multiplies matrices', async () => {
  const size = 3;
  const { a, b, c, multiply } = await newMultiplier(size);
  a.set([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  b.set([9, 8, 7, 6, 5, 4, 3, 2, 1]);
  c.fill(0);
  multiply();
  expect([...c]).toEqual([30, 24, 18, 84, 69, 54, 138, 114, 90]);
  multiply();
  expect(c[0]).toBe(60);
});

test('the product on WASM is measured and right', async () => {
  const product = await wasmProduct();
  expect(product).toMatchObject({ backend: 'wasm', size: 256 });
  expect(product.samples_ms.length).toBeGreaterThanOrEqual(3);
  expect(product.gflops).toBeGreaterThan(0);
});

test('samples go on for a while, at least for three, and without the first', async () => {
  const words = [100, 1, 2, 3];
  expect(await repeatFor(0, () => Promise.resolve(words.shift() ?? 0))).toEqual([1, 2, 3]);
});

test('operations a second follow from the median', () => {
  expect(toProduct('webgpu', 100, [1, 2, 4]).gflops).toBeCloseTo((2 * 100 ** 3) / 2e-3 / 1e9);
  expect(toProduct('wasm', 100, [0]).gflops).toBe(0);
});

test.each([
  [{ isFallbackAdapter: true, architecture: '' }, {}, 'the adapter is software'],
  [{ isFallbackAdapter: false, architecture: 'swiftshader' }, {}, 'the adapter is software'],
  [{}, { userAgent: 'Mozilla/5.0 (Linux; Android 16; Pixel)' }, 'a phone or tablet'],
  [{}, { deviceMemory: 2 }, 'the device has 2 GiB'],
  [{}, { deviceMemory: undefined }, 'does not say'],
])('GPU memory is not tried for on %j, %j', (adapter, browser, reason) => {
  const info = { isFallbackAdapter: false, architecture: 'ampere', ...adapter };
  const asked = { userAgent: 'Mozilla/5.0 (X11; Linux x86_64)', deviceMemory: 16, ...browser };
  expect(reasonNotToAllocate(info, asked as { deviceMemory?: number; userAgent: string })).toContain(reason);
});

test('GPU memory may be tried for on a desktop', () => {
  const info = { isFallbackAdapter: false, architecture: 'ampere' };
  expect(reasonNotToAllocate(info, { userAgent: 'X11; Linux x86_64', deviceMemory: 8 })).toBeNull();
});

/** A device that has room for so many buffers. */
function fakeDevice(room: number, maxBufferSize: number) {
  vi.stubGlobal('GPUBufferUsage', { STORAGE: 1, COPY_DST: 2 });
  const live = new Set<object>();
  const sizes: number[] = [];
  const scopes: string[] = [];
  const device = {
    limits: { maxBufferSize },
    pushErrorScope: (filter: string) => scopes.push(filter),
    popErrorScope: () => {
      const full = scopes.pop() === 'out-of-memory' && live.size > room;
      return Promise.resolve(full ? { message: 'not enough memory left' } : null);
    },
    createBuffer: ({ size }: { size: number }) => {
      sizes.push(size);
      const buffer = { destroy: () => live.delete(buffer) };
      live.add(buffer);
      return buffer;
    },
    createCommandEncoder: () => ({ clearBuffer: () => undefined, finish: () => ({}) }),
    queue: { submit: () => undefined, onSubmittedWorkDone: () => Promise.resolve() },
  };
  return { device: device as unknown as GPUDevice, live, sizes };
}

test('GPU memory is taken up to the bound and given back', async () => {
  const { device, live, sizes } = fakeDevice(100, 2 ** 32);
  expect(await allocate(device)).toEqual({
    gpu_allocated_bytes: 512 * 2 ** 20,
    gpu_allocation_note: 'stopped at the probe’s own bound',
  });
  expect([sizes, live.size]).toEqual([[256 * 2 ** 20, 256 * 2 ** 20], 0]);
});

test('a refusal ends the allocation and is no failure', async () => {
  const { device, live } = fakeDevice(3, 64 * 2 ** 20);
  const { gpu_allocated_bytes, gpu_allocation_note } = await allocate(device);
  expect(gpu_allocated_bytes).toBe(3 * 64 * 2 ** 20);
  expect(gpu_allocation_note).toContain('not enough memory left');
  expect(live.size).toBe(0);
});

test('the download rate is that of a part of the file, past every cache', async () => {
  const fetcher = vi.fn<typeof fetch>(() => Promise.resolve(new Response(new Uint8Array(100_000))));
  expect(await downloadRate(new URL('http://localhost:1/assets/a.wasm'), fetcher)).toBeGreaterThan(0);
  const [address, init] = fetcher.mock.lastCall ?? [];
  expect((address as URL).href).toMatch(/^http:\/\/localhost:1\/assets\/a\.wasm\?at=/);
  expect(init).toMatchObject({ cache: 'no-store', headers: { Range: 'bytes=0-4194303' } });
});

test('a file that is not there has no download rate', async () => {
  const fetcher = () => Promise.resolve(new Response('no', { status: 404 }));
  await expect(downloadRate(new URL('http://localhost:1/a'), fetcher)).rejects.toThrow('cannot be had (404)');
});
