/** What WebAssembly can do here: each feature by a tiny module that is valid only with it. */
import type { WasmFeatures } from '../../contract';
import { V128, wasmModule, type WasmParts } from './wasm_module';

const DROP = 0x1a;
const I32_CONST_0 = [0x41, 0x00] as const;
const SIMD = 0xfd;
const ATOMIC = 0xfe;
/** `(i8x16.splat (i32.const 0))`: a vector. */
const A_VECTOR = [...I32_CONST_0, SIMD, 0x0f] as const;

const noArguments = (body: readonly number[], results: readonly number[] = []): WasmParts => ({
  function: { parameters: [], results, body },
});

const MODULES = {
  // (func (result v128) (i8x16.splat (i32.const 0)))
  simd: noArguments(A_VECTOR, [V128]),
  // (memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0)))); the memory's flag 2 is `shared`.
  threads: {
    memory: [0x03, 1, 1],
    ...noArguments([...I32_CONST_0, ATOMIC, 0x10, 0x02, 0x00, DROP]),
  },
  // (func (result v128) (i8x16.relaxed_swizzle vector vector)); its opcode is 0x100 as LEB128.
  relaxed_simd: noArguments([...A_VECTOR, ...A_VECTOR, SIMD, 0x80, 0x02], [V128]),
  // (memory i64 1); the memory's flag 4 is `i64`.
  memory64: { memory: [0x04, 1] },
  // (func (try (catch_all))): the form that the toolchains of today's runtimes write.
  exceptions: noArguments([0x06, 0x40, 0x19, 0x0b]),
} satisfies Record<string, WasmParts>;

export function wasmFeatures(scope: typeof WebAssembly): WasmFeatures {
  const can = (parts: WasmParts): boolean => scope.validate(wasmModule(parts));
  return {
    simd: can(MODULES.simd),
    threads: can(MODULES.threads),
    relaxed_simd: can(MODULES.relaxed_simd),
    memory64: can(MODULES.memory64),
    exceptions: can(MODULES.exceptions),
    // No instruction of its own: it is a part of the JavaScript interface alone.
    jspi: 'Suspending' in scope,
  };
}
