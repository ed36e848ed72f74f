(function (lowered) {
  // A worker that still waits for its debugger has `navigator.gpu`, but not yet the types that come with it.
  for (const scope of ["Navigator", "WorkerNavigator"]) {
    const prototype = globalThis[scope]?.prototype;
    const property = prototype && Object.getOwnPropertyDescriptor(prototype, "gpu");
    if (!property) continue;
    Object.defineProperty(prototype, "gpu", {
      ...property,
      get() {
        Object.defineProperty(prototype, "gpu", property);
        lower();
        return property.get.call(this);
      },
    });
  }

  function lower() {
    const capped = (name, value) => (name in lowered ? Math.min(value, lowered[name]) : value);

    // Of adapters and of devices: both have limits of this one type.
    const supported = GPUSupportedLimits.prototype;
    const real = {};
    for (const name of Object.keys(lowered)) {
      const property = Object.getOwnPropertyDescriptor(supported, name);
      if (property === undefined) continue;
      real[name] = property.get;
      Object.defineProperty(supported, name, {
        ...property,
        get() {
          return capped(name, property.get.call(this));
        },
      });
    }

    // Requests within the limits go on untouched, so that the device enforces what it was asked for by itself.
    const requestDevice = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      for (const [name, value] of Object.entries(descriptor?.requiredLimits ?? {})) {
        if (name in real && value > this.limits[name]) {
          throw new DOMException(
            `Failed to execute 'requestDevice' on 'GPUAdapter': Required limit (${value}) is greater than the ` +
              `supported limit (${this.limits[name]}).\n - While validating ${name}\n - While validating required limits\n`,
            "OperationError",
          );
        }
      }
      return requestDevice.call(this, descriptor);
    };

    // No device has less than the specification's defaults. Below them, a refusal is the device's own, of a buffer
    // that it really has no room for, so that it takes the device's own way to scopes and listeners; only its text is
    // changed.
    const texts = new Map();
    let refusals = 0;
    const createBuffer = GPUDevice.prototype.createBuffer;
    const refuse = (device, text, descriptor) => {
      const impossible = (real.maxBufferSize?.call(device.limits) ?? device.limits.maxBufferSize) + 4 * ++refusals;
      texts.set(impossible, text);
      return createBuffer.call(device, { ...descriptor, size: impossible });
    };
    const message = Object.getOwnPropertyDescriptor(GPUError.prototype, "message");
    Object.defineProperty(GPUError.prototype, "message", {
      ...message,
      get() {
        const said = message.get.call(this);
        const [, size] = /^Buffer size \((\d+)\)/.exec(said) ?? [];
        return (
          texts.get(Number(size)) ??
          said.replace(/(?<=supports a higher )(\w+) of (\d+)/, (_, name, value) => `${name} of ${capped(name, value)}`)
        );
      },
    });
    const named = (label) => (label ? ` "${label}"` : " (unlabeled)");

    GPUDevice.prototype.createBuffer = function (descriptor) {
      const limit = this.limits.maxBufferSize;
      if (!(descriptor?.size > limit)) return createBuffer.call(this, descriptor);
      // Above the device's own limit it speaks for itself.
      if (!("maxBufferSize" in real) || descriptor.size > real.maxBufferSize.call(this.limits)) {
        return createBuffer.call(this, descriptor);
      }
      const buffer = refuse(
        this,
        `Buffer size (${descriptor.size}) exceeds the max buffer size limit (${limit}).\n` +
          ` - While calling [Device].CreateBuffer([BufferDescriptor]).\n`,
        descriptor,
      );
      Object.defineProperty(buffer, "size", { value: descriptor.size });
      return buffer;
    };

    const createBindGroup = GPUDevice.prototype.createBindGroup;
    GPUDevice.prototype.createBindGroup = function (descriptor) {
      for (const [index, entry] of [...(descriptor?.entries ?? [])].entries()) {
        const bound = entry.resource instanceof GPUBuffer ? { buffer: entry.resource } : entry.resource;
        if (!(bound?.buffer instanceof GPUBuffer)) continue;
        const { buffer, offset = 0, size = buffer.size - offset } = bound;
        // A layout does not say what it binds: a buffer that may be storage is taken for it.
        const [kind, name] =
          buffer.usage & GPUBufferUsage.STORAGE
            ? ["storage", "maxStorageBufferBindingSize"]
            : ["uniform", "maxUniformBufferBindingSize"];
        const limit = this.limits[name];
        if (!(name in real) || size <= limit || size > real[name].call(this.limits)) continue;
        const invalid = refuse(
          this,
          `Binding size (${size}) of [Buffer${named(buffer.label)}] is larger than the maximum ${kind} buffer binding ` +
            `size (${limit}).\n - While validating entries[${index}].\n` +
            ` - While calling [Device].CreateBindGroup([BindGroupDescriptor]).\n`,
          { usage: buffer.usage & ~(GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE) },
        );
        // A group of an invalid buffer is invalid; that it is so has been said.
        this.pushErrorScope("validation");
        const refused = { ...entry, resource: { buffer: invalid } };
        const entries = [...descriptor.entries].map((one) => (one === entry ? refused : one));
        const group = createBindGroup.call(this, { ...descriptor, entries });
        this.popErrorScope().catch(() => undefined);
        return group;
      }
      return createBindGroup.call(this, descriptor);
    };
  }
})
