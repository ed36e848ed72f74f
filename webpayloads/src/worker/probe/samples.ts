/** Samples of micro-benchmarks. */
import type { Backend, MatrixProduct } from '../../contract';
import { median } from '../../statistics';

const FEWEST = 3;
const MOST = 50;

/** What `measure` said, again and again for about this long; its first word is thrown away: it comes before the optimiser. */
export async function repeatFor(limitMs: number, measure: () => Promise<number>): Promise<number[]> {
  await measure();
  const samples: number[] = [];
  const end = performance.now() + limitMs;
  while (samples.length < FEWEST || (samples.length < MOST && performance.now() < end)) samples.push(await measure());
  return samples;
}

/** 2 · size³ operations in the time of the median sample. */
export function toProduct(backend: Backend, size: number, samples_ms: number[]): MatrixProduct {
  const milliseconds = median(samples_ms) ?? 0;
  const gflops = milliseconds > 0 ? (2 * size ** 3) / (milliseconds * 1e6) : 0;
  return { backend, size, samples_ms, gflops };
}
