/** Every WebAssembly memory of this worker, whether a runtime makes it, imports it or its module exports it. */

export class WasmMemories {
  readonly #memories = new Set<WebAssembly.Memory>();

  add(memory: WebAssembly.Memory): void {
    this.#memories.add(memory);
  }

  /** The sum of all memories in bytes: since none of them ever shrinks, also its peak. Null when there is none. */
  get peakBytes(): number | null {
    if (this.#memories.size === 0) return null;
    let total = 0;
    for (const memory of this.#memories) total += memory.buffer.byteLength;
    return total;
  }
}

/** Wraps `WebAssembly`'s entry points. */
export function watchWasm(scope: typeof WebAssembly, memories: WasmMemories): void {
  const Memory = scope.Memory;
  scope.Memory = new Proxy(Memory, {
    construct(target, args: [WebAssembly.MemoryDescriptor]) {
      const memory = new target(...args);
      memories.add(memory);
      return memory;
    },
  });

  const notice = (exchanged: object): void => {
    for (const value of Object.values(exchanged)) {
      if (value instanceof Memory) memories.add(value);
    }
  };
  const noticeAll = (
    created: WebAssembly.Instance | WebAssembly.WebAssemblyInstantiatedSource,
    imports: WebAssembly.Imports | undefined,
  ): void => {
    notice(('instance' in created ? created.instance : created).exports);
    for (const module of Object.values(imports ?? {})) notice(module);
  };

  // Both are overloaded on what they are given: the wrapper passes it on untouched.
  const instantiate = scope.instantiate as (
    source: BufferSource | WebAssembly.Module,
    imports?: WebAssembly.Imports,
  ) => Promise<WebAssembly.Instance | WebAssembly.WebAssemblyInstantiatedSource>;
  scope.instantiate = (async (source: BufferSource | WebAssembly.Module, imports?: WebAssembly.Imports) => {
    const created = await instantiate(source, imports);
    noticeAll(created, imports);
    return created;
  }) as typeof scope.instantiate;

  const { instantiateStreaming } = scope;
  scope.instantiateStreaming = async (source, imports) => {
    const created = await instantiateStreaming(source, imports);
    noticeAll(created, imports);
    return created;
  };
}
