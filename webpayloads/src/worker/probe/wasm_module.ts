/** WebAssembly by hand: modules small enough to be written as bytes. */

export const I32 = 0x7f;
export const F32 = 0x7d;
export const V128 = 0x7b;

type Bytes = readonly number[];

const TYPE = 1;
const FUNCTION = 3;
const MEMORY = 5;
const EXPORT = 7;
const CODE = 10;
const END = 0x0b;

export interface WasmFunction {
  parameters: Bytes;
  results: Bytes;
  /** The types of its local variables, which count on from the parameters. */
  locals?: Bytes;
  body: Bytes;
}

/** `memory` is a limit's bytes: flags, least pages, and most pages where the flags say so. */
export interface WasmParts {
  function?: WasmFunction;
  memory?: Bytes;
  /** Exports the one function and the one memory under these names. */
  exports?: { function: string; memory: string };
}

export function wasmModule(parts: WasmParts): Uint8Array<ArrayBuffer> {
  const { function: code, memory, exports } = parts;
  const bytes = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  // Sections come in the order of their numbers.
  if (code !== undefined) {
    bytes.push(...section(TYPE, [0x60, ...counted(code.parameters), ...counted(code.results)]));
    bytes.push(...section(FUNCTION, [0]));
  }
  if (memory !== undefined) bytes.push(...section(MEMORY, memory));
  if (exports !== undefined) {
    const entries = [...exported(exports.function, 0x00), ...exported(exports.memory, 0x02)];
    bytes.push(EXPORT, ...counted([2, ...entries]));
  }
  if (code !== undefined) {
    const locals = (code.locals ?? []).flatMap((type) => [1, type]);
    const body = [...unsigned(code.locals?.length ?? 0), ...locals, ...code.body, END];
    bytes.push(...section(CODE, counted(body)));
  }
  return Uint8Array.from(bytes);
}

/** A whole number as LEB128, the way that WebAssembly writes them. */
export function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** A section with a single entry. */
function section(id: number, entry: Bytes): number[] {
  return [id, ...counted([1, ...entry])];
}

/** Bytes with their number before them. */
function counted(bytes: Bytes): number[] {
  return [...unsigned(bytes.length), ...bytes];
}

/** The first thing of a kind, under a name. */
function exported(name: string, kind: number): number[] {
  return [...counted([...new TextEncoder().encode(name)]), kind, 0];
}
