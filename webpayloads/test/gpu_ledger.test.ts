import { beforeEach, expect, test, vi } from 'vitest';

import { GpuLedger, textureBytes, watchGpu, type GpuScope } from '../src/worker/gpu_ledger';

class FakeResource {
  destroyed = false;
  destroy(): undefined {
    this.destroyed = true;
    return undefined;
  }
}
class FakeBuffer extends FakeResource {
  mapAsync(): Promise<void> {
    return Promise.resolve();
  }
  unmap(): undefined {
    return undefined;
  }
}
class FakeTexture extends FakeResource {}

class FakeDevice extends EventTarget {
  readonly limits = { maxBufferSize: 1_000 };
  destroyed = false;
  lose: (info: { reason: string; message: string }) => void = () => undefined;
  readonly lost = new Promise((resolve) => {
    this.lose = resolve;
  });
  createBuffer(): FakeBuffer {
    return new FakeBuffer();
  }
  createTexture(): FakeTexture {
    return new FakeTexture();
  }
  importExternalTexture(): object {
    return {};
  }
  destroy(): undefined {
    this.destroyed = true;
    return undefined;
  }
}

/** As in a browser: getters of the prototype, and no own properties. */
const LIMITS = Object.create({
  get maxBufferSize() {
    return 1_000;
  },
}) as object;

class FakeAdapter {
  readonly info = { vendor: 'google', architecture: '', device: '', description: '', isFallbackAdapter: true };
  readonly features = new Set(['subgroups', 'shader-f16']);
  readonly limits = LIMITS;
  requestDevice(): Promise<FakeDevice> {
    return Promise.resolve(new FakeDevice());
  }
}

/** Fresh classes for each test, because watching changes their prototypes for good. */
function fakeScope() {
  class GPU {
    adapter: FakeAdapter | null = new Adapter();
    requestAdapter(): Promise<FakeAdapter | null> {
      return Promise.resolve(this.adapter);
    }
  }
  class Adapter extends FakeAdapter {
    override requestDevice(): Promise<FakeDevice> {
      return Promise.resolve(new Device());
    }
  }
  class Device extends FakeDevice {
    override createBuffer(): FakeBuffer {
      return new Buffer();
    }
    override createTexture(): FakeTexture {
      return new Texture();
    }
  }
  class Buffer extends FakeBuffer {}
  class Texture extends FakeTexture {}
  return { GPU, GPUAdapter: Adapter, GPUDevice: Device, GPUBuffer: Buffer, GPUTexture: Texture };
}

let scope: ReturnType<typeof fakeScope>;
let ledger: GpuLedger;
const ears = { adapter: vi.fn(), lost: vi.fn(), uncaptured: vi.fn() };

beforeEach(() => {
  scope = fakeScope();
  ledger = new GpuLedger();
  vi.resetAllMocks();
  watchGpu(scope as unknown as GpuScope, ledger, ears);
});

async function newDevice() {
  const gpu = new scope.GPU() as unknown as GPU;
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (device === undefined) throw new Error('no device');
  return { device, fake: device as unknown as FakeDevice };
}

test('nothing allocated is no memory figure', () => {
  expect(ledger.memory).toBeNull();
});

test('an adapter is described as the browser tells it', async () => {
  await newDevice();
  expect(ears.adapter).toHaveBeenCalledExactlyOnceWith({
    vendor: 'google',
    architecture: null,
    device: null,
    description: null,
    fallback: true,
    features: ['shader-f16', 'subgroups'],
    limits: { maxBufferSize: 1_000 },
  });
});

test('no adapter is passed on as it is', async () => {
  const gpu = new scope.GPU();
  gpu.adapter = null;
  expect(await gpu.requestAdapter()).toBeNull();
  expect(ears.adapter).not.toHaveBeenCalled();
});

test('buffers count until they are destroyed, and only once', async () => {
  const { device } = await newDevice();
  const first = device.createBuffer({ size: 400, usage: 0 });
  device.createBuffer({ size: 300, usage: 0 });
  first.destroy();
  first.destroy();
  expect((first as unknown as FakeBuffer).destroyed).toBe(true);
  expect(ledger.memory).toEqual({ peak_bytes: 700, live_bytes: 300, largest_buffer_bytes: 400, buffers: 2 });
});

test('a buffer over the limit was never there', async () => {
  const { device } = await newDevice();
  device.createBuffer({ size: 1_001, usage: 0 });
  expect(ledger.memory).toBeNull();
});

test('textures count beside buffers', async () => {
  const { device } = await newDevice();
  const texture = device.createTexture({ size: [4, 4], format: 'rgba16float', usage: 0 });
  expect(ledger.memory).toMatchObject({ peak_bytes: 128, live_bytes: 128, buffers: 0 });
  texture.destroy();
  expect(ledger.memory).toMatchObject({ peak_bytes: 128, live_bytes: 0 });
});

test('a lost device takes its memory along and leaves that of others', async () => {
  const { device, fake } = await newDevice();
  const { device: other } = await newDevice();
  const buffer = device.createBuffer({ size: 400, usage: 0 });
  other.createBuffer({ size: 100, usage: 0 });
  fake.lose({ reason: 'unknown', message: 'gone' });
  await device.lost;
  expect(ears.lost).toHaveBeenCalledExactlyOnceWith({ reason: 'unknown', message: 'gone' });
  buffer.destroy();
  expect(ledger.memory).toMatchObject({ peak_bytes: 500, live_bytes: 100 });
});

test('destroying a device frees its memory', async () => {
  const { device, fake } = await newDevice();
  device.createBuffer({ size: 400, usage: 0 });
  device.destroy();
  expect(fake.destroyed).toBe(true);
  expect(ledger.memory).toMatchObject({ peak_bytes: 400, live_bytes: 0 });
});

test('what a device hands out after it is gone has no memory', async () => {
  const { device, fake } = await newDevice();
  device.createBuffer({ size: 100, usage: 0 });
  fake.lose({ reason: 'unknown', message: 'gone' });
  await device.lost;
  device.createBuffer({ size: 900, usage: 0 }).destroy();
  device.createTexture({ size: [4], format: 'rgba8unorm', usage: 0 });
  expect(ledger.memory).toEqual({ peak_bytes: 100, live_bytes: 0, largest_buffer_bytes: 100, buffers: 1 });
});

test('a buffer counts once, whether it is mapped from the start, mapped later or not at all', async () => {
  const { device } = await newDevice();
  const mapped = device.createBuffer({ size: 64, usage: 0, mappedAtCreation: true });
  const readable = device.createBuffer({ size: 32, usage: 0 });
  await readable.mapAsync(1);
  readable.unmap();
  mapped.unmap();
  expect(ledger.memory).toMatchObject({ peak_bytes: 96, live_bytes: 96, buffers: 2 });
});

test('an external texture is somebody else’s memory', async () => {
  const { device } = await newDevice();
  device.importExternalTexture({ source: {} as HTMLVideoElement });
  expect(ledger.memory).toBeNull();
});

test('uncaptured errors are heard', async () => {
  const { fake } = await newDevice();
  const error = { message: 'Out of memory' };
  fake.dispatchEvent(Object.assign(new Event('uncapturederror'), { error }));
  expect(ears.uncaptured).toHaveBeenCalledExactlyOnceWith(error);
});

test.each([
  [{ size: [8, 4], format: 'r8unorm' }, 32],
  [{ size: { width: 8, height: 4, depthOrArrayLayers: 2 }, format: 'rgba32float' }, 1_024],
  [{ size: [8], format: 'rgba8unorm', sampleCount: 4 }, 128],
  [{ size: [4, 4], format: 'rgba8unorm', mipLevelCount: 3 }, 84],
])('a texture of %j has %d bytes', (descriptor, expected) => {
  expect(textureBytes({ usage: 0, ...descriptor } as GPUTextureDescriptor)).toBe(expected);
});
