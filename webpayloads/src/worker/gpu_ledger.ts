/** A ledger of WebGPU memory: what was asked for and not yet given back, device by device. */
import type { GpuAdapter, GpuMemory } from '../contract';
import { describeAdapter } from '../gpu';

/** Bytes of a texel; formats that are not here count as four. */
const TEXEL_BYTES: Partial<Record<GPUTextureFormat, number>> = {
  r8unorm: 1, r8snorm: 1, r8uint: 1, r8sint: 1,
  r16uint: 2, r16sint: 2, r16float: 2, rg8unorm: 2, rg8snorm: 2, rg8uint: 2, rg8sint: 2,
  rg32uint: 8, rg32sint: 8, rg32float: 8, rgba16uint: 8, rgba16sint: 8, rgba16float: 8,
  rgba32uint: 16, rgba32sint: 16, rgba32float: 16,
};

export class GpuLedger {
  readonly #live = new Map<object, number>();
  readonly #gone = new WeakSet();
  #peak = 0;
  #largestBuffer = 0;
  #buffers = 0;
  #touched = false;

  allocateBuffer(device: object, bytes: number): void {
    if (!this.#allocate(device, bytes)) return;
    this.#buffers += 1;
    this.#largestBuffer = Math.max(this.#largestBuffer, bytes);
  }

  allocateTexture(device: object, bytes: number): void {
    this.#allocate(device, bytes);
  }

  free(device: object, bytes: number): void {
    const live = this.#live.get(device);
    if (live !== undefined) this.#live.set(device, live - bytes);
  }

  /** A device that is lost or destroyed takes its memory with it; freeing the rest later changes nothing. */
  lose(device: object): void {
    this.#live.delete(device);
    this.#gone.add(device);
  }

  /** Null as long as nothing has been allocated. */
  get memory(): GpuMemory | null {
    if (!this.#touched) return null;
    return {
      peak_bytes: this.#peak,
      live_bytes: this.#liveBytes(),
      largest_buffer_bytes: this.#largestBuffer,
      buffers: this.#buffers,
    };
  }

  /** False when the device is gone: it still hands out objects, but there is no memory behind them. */
  #allocate(device: object, bytes: number): boolean {
    if (this.#gone.has(device)) return false;
    this.#touched = true;
    this.#live.set(device, (this.#live.get(device) ?? 0) + bytes);
    this.#peak = Math.max(this.#peak, this.#liveBytes());
    return true;
  }

  #liveBytes(): number {
    let total = 0;
    for (const bytes of this.#live.values()) total += bytes;
    return total;
  }
}

/** Bytes of a texture with all its layers, samples and mip levels. */
export function textureBytes(descriptor: GPUTextureDescriptor): number {
  const { width, height, layers } = extent(descriptor.size);
  const texel = (TEXEL_BYTES[descriptor.format] ?? 4) * (descriptor.sampleCount ?? 1);
  let bytes = 0;
  for (let level = 0; level < (descriptor.mipLevelCount ?? 1); level += 1) {
    bytes += Math.max(1, width >> level) * Math.max(1, height >> level) * layers * texel;
  }
  return bytes;
}

function extent(size: GPUExtent3DStrict): { width: number; height: number; layers: number } {
  if (Symbol.iterator in size) {
    const [width = 1, height = 1, layers = 1] = size;
    return { width, height, layers };
  }
  return { width: size.width, height: size.height ?? 1, layers: size.depthOrArrayLayers ?? 1 };
}

/** What a worker's global scope has of WebGPU. */
export interface GpuScope {
  GPU: { prototype: Pick<GPU, 'requestAdapter'> };
  GPUAdapter: { prototype: Pick<GPUAdapter, 'requestDevice'> };
  GPUDevice: { prototype: Pick<GPUDevice, 'createBuffer' | 'createTexture' | 'destroy'> };
  GPUBuffer: { prototype: Pick<GPUBuffer, 'destroy'> };
  GPUTexture: { prototype: Pick<GPUTexture, 'destroy'> };
}

export interface GpuEars {
  adapter(adapter: GpuAdapter): void;
  lost(info: GPUDeviceLostInfo): void;
  uncaptured(error: GPUError): void;
}

/** Wraps WebGPU's entry points, so that devices which a runtime asks for itself are seen as well. */
export function watchGpu(scope: GpuScope, ledger: GpuLedger, ears: GpuEars): void {
  const gpu = scope.GPU.prototype;
  const requestAdapter = unbound(gpu, 'requestAdapter');
  gpu.requestAdapter = async function (this: GPU, options?: GPURequestAdapterOptions) {
    const adapter = await requestAdapter.call(this, options);
    if (adapter !== null) ears.adapter(describeAdapter(adapter));
    return adapter;
  };

  const adapters = scope.GPUAdapter.prototype;
  const requestDevice = unbound(adapters, 'requestDevice');
  adapters.requestDevice = async function (this: GPUAdapter, descriptor?: GPUDeviceDescriptor) {
    const device = await requestDevice.call(this, descriptor);
    void device.lost.then((info) => {
      ledger.lose(device);
      ears.lost(info);
    });
    device.addEventListener('uncapturederror', (event) => {
      ears.uncaptured(event.error);
    });
    return device;
  };

  const devices = scope.GPUDevice.prototype;
  const freeing = watchFreeing(ledger);
  const createBuffer = unbound(devices, 'createBuffer');
  devices.createBuffer = function (this: GPUDevice, descriptor: GPUBufferDescriptor) {
    const buffer = createBuffer.call(this, descriptor);
    // A buffer over the device's limit is refused: the object exists, the memory does not.
    if (descriptor.size <= this.limits.maxBufferSize) {
      ledger.allocateBuffer(this, descriptor.size);
      freeing.expect(buffer, this, descriptor.size);
    }
    return buffer;
  };
  const createTexture = unbound(devices, 'createTexture');
  devices.createTexture = function (this: GPUDevice, descriptor: GPUTextureDescriptor) {
    const texture = createTexture.call(this, descriptor);
    const bytes = textureBytes(descriptor);
    ledger.allocateTexture(this, bytes);
    freeing.expect(texture, this, bytes);
    return texture;
  };
  const destroyDevice = unbound(devices, 'destroy');
  devices.destroy = function (this: GPUDevice) {
    ledger.lose(this);
    destroyDevice.call(this);
    return undefined;
  };

  for (const prototype of [scope.GPUBuffer.prototype, scope.GPUTexture.prototype]) {
    const destroy = unbound(prototype, 'destroy');
    prototype.destroy = function (this: GPUBuffer | GPUTexture) {
      freeing.happened(this);
      destroy.call(this);
      return undefined;
    };
  }
}

/** Memory comes back when a resource is destroyed, or when the garbage collector finds it forgotten. */
function watchFreeing(ledger: GpuLedger) {
  interface Holding {
    device: WeakRef<object>;
    bytes: number;
  }
  const holdings = new WeakMap<object, Holding>();
  const free = ({ device, bytes }: Holding): void => {
    const owner = device.deref();
    if (owner !== undefined) ledger.free(owner, bytes);
  };
  const forgotten = new FinalizationRegistry<Holding>(free);
  return {
    expect(resource: object, device: object, bytes: number): void {
      const holding = { device: new WeakRef(device), bytes };
      holdings.set(resource, holding);
      forgotten.register(resource, holding, resource);
    },
    happened(resource: object): void {
      const holding = holdings.get(resource);
      if (holding === undefined) return;
      holdings.delete(resource);
      forgotten.unregister(resource);
      free(holding);
    },
  };
}

/** A method as it is now, to be called on another object of its kind later. */
function unbound<Owner, Name extends keyof Owner>(owner: Owner, name: Name): Owner[Name] {
  return owner[name];
}
