/** The matrix product in plain WebAssembly, without vectors: what any browser can do on one thread. */
import type { MatrixProduct } from '../../contract';
import { repeatFor, toProduct } from './samples';
import { F32, I32, unsigned, wasmModule } from './wasm_module';

export const WASM_SIZE = 256;
const LONGEST_MS = 300;
const PAGE_BYTES = 65_536;

/** `multiply(n, a, b, c)`: adds the product of the n × n matrices at `a` and `b` to that at `c`, row by row. */
function multiplyModule(pages: number): Uint8Array<ArrayBuffer> {
  const [n, a, b, c, rows, terms, x, fromB, toC, rowEnd] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const;
  const get = (local: number): number[] => [0x20, local];
  const set = (local: number): number[] => [0x21, local];
  const tee = (local: number): number[] => [0x22, local];
  const i32 = (value: number): number[] => [0x41, value];
  const [add, subtract, shiftLeft, isLess] = [[0x6a], [0x6b], [0x74], [0x49]];
  const [multiply, addFloats, load, store] = [[0x94], [0x92], [0x2a, 2, 0], [0x38, 2, 0]];
  const loop = (...body: number[][]): number[] => [0x03, 0x40, ...body.flat(), 0x0b];
  const again = [0x0d, 0];
  const step = (pointer: number): number[] => [...get(pointer), ...i32(4), ...add];
  const countDown = (counter: number): number[] => [...get(counter), ...i32(1), ...subtract, ...tee(counter), ...again];

  const columns = loop(
    // *toC += x * *fromB
    get(toC), get(toC), load, get(x), get(fromB), load, multiply, addFloats, store,
    step(fromB), set(fromB),
    step(toC), tee(toC), get(rowEnd), isLess, again,
  );
  const row = loop(
    // x = *a++; toC = c; rowEnd = c + 4 n
    get(a), load, set(x), step(a), set(a),
    get(c), set(toC), get(c), get(n), i32(2), shiftLeft, add, set(rowEnd),
    columns,
    countDown(terms),
  );
  const body = [
    ...get(n), ...set(rows),
    ...loop(get(n), set(terms), get(b), set(fromB), row, get(rowEnd), set(c), countDown(rows)),
  ];
  return wasmModule({
    function: { parameters: [I32, I32, I32, I32], results: [], locals: [I32, I32, F32, I32, I32, I32], body },
    memory: [0x00, ...unsigned(pages)],
    exports: { function: 'multiply', memory: 'memory' },
  });
}

export interface Multiplier {
  a: Float32Array;
  b: Float32Array;
  c: Float32Array;
  /** c += a × b */
  multiply: () => void;
}

export async function newMultiplier(size: number): Promise<Multiplier> {
  const matrixBytes = 4 * size * size;
  const module = await WebAssembly.compile(multiplyModule(Math.ceil((3 * matrixBytes) / PAGE_BYTES)));
  const { exports } = await WebAssembly.instantiate(module);
  const { buffer } = exports.memory as WebAssembly.Memory;
  const multiply = exports.multiply as (n: number, a: number, b: number, c: number) => void;
  const matrix = (index: number): Float32Array => new Float32Array(buffer, index * matrixBytes, size * size);
  return {
    a: matrix(0),
    b: matrix(1),
    c: matrix(2),
    multiply: () => {
      multiply(size, 0, matrixBytes, 2 * matrixBytes);
    },
  };
}

export async function wasmProduct(): Promise<MatrixProduct> {
  const { a, b, c, multiply } = await newMultiplier(WASM_SIZE);
  a.fill(1);
  b.fill(0.5);
  const samples = await repeatFor(LONGEST_MS, () => {
    c.fill(0);
    const start = performance.now();
    multiply();
    return Promise.resolve(performance.now() - start);
  });
  const expected = WASM_SIZE / 2;
  if (c.some((value) => value !== expected)) throw new Error('the product of two matrices came out wrong on WASM');
  return toProduct('wasm', WASM_SIZE, samples);
}
