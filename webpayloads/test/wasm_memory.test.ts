import { expect, test } from 'vitest';

import { WasmMemories, watchWasm } from '../src/worker/wasm_memory';

/** `(module (memory (export "m") 2))` */
const EXPORTS_TWO_PAGES = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 0, 2, 7, 5, 1, 1, 0x6d, 2, 0,
]);
const PAGE = 65_536;

test('memories count once, wherever they come from, at their present size', async () => {
  const memories = new WasmMemories();
  // A copy: the real one must not stay wrapped for the next test.
  const scope = { ...entryPoints() };
  watchWasm(scope as typeof WebAssembly, memories);
  expect(memories.peakBytes).toBeNull();

  const made = new scope.Memory({ initial: 1, maximum: 4 });
  expect(made).toBeInstanceOf(WebAssembly.Memory);
  expect(memories.peakBytes).toBe(PAGE);

  const { instance } = await scope.instantiate(EXPORTS_TWO_PAGES, { env: { made } });
  expect(instance.exports.m).toBeInstanceOf(WebAssembly.Memory);
  expect(memories.peakBytes).toBe(3 * PAGE);

  await scope.instantiate(await WebAssembly.compile(EXPORTS_TWO_PAGES));
  expect(memories.peakBytes).toBe(5 * PAGE);

  made.grow(2);
  expect(memories.peakBytes).toBe(7 * PAGE);
});

function entryPoints() {
  return {
    Memory: WebAssembly.Memory,
    instantiate: WebAssembly.instantiate.bind(WebAssembly),
    instantiateStreaming: WebAssembly.instantiateStreaming.bind(WebAssembly),
  };
}
