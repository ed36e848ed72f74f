import { expect, test } from 'vitest';

import type { PageReport, ProbeResult } from '../src/contract';
import { memoryRows, probeRows, speedRows, type Row } from '../src/figures';

const REPORT: PageReport = {
  attempt: 'r.1',
  completed: true,
  phase: 'measure',
  environment: { user_agent: 'test', cross_origin_isolated: true, hardware_concurrency: 2 },
};
const PROBE: ProbeResult = {
  duration_ms: 1_200,
  wasm: { simd: true, threads: true, relaxed_simd: true, memory64: false, exceptions: true, jspi: false },
};

function shown(rows: readonly Row[]): Record<string, string> {
  return Object.fromEntries(rows.flatMap(({ term, value }) => (value === null ? [] : [[term, value]])));
}

test('nothing measured is nothing shown', () => {
  expect(shown([...speedRows(REPORT), ...memoryRows(REPORT)])).toEqual({});
});

test('a second loading stands beside the first, each with where its bytes came from', () => {
  const cold = { cache: 'cold' as const, load_ms: 2_000, network_bytes: 1_500_000, cache_bytes: 0 };
  const warm = { cache: 'warm' as const, load_ms: 500, network_bytes: 0, cache_bytes: 1_500_000 };
  expect(shown(speedRows({ ...REPORT, loads: [cold] }))).toEqual({ Load: '2.00 s' });
  const rows = speedRows({ ...REPORT, loads: [cold, warm] });
  expect(shown(rows)).toEqual({ 'Load, cold': '2.00 s', 'Load, warm': '500 ms' });
  expect(rows.slice(0, 2).map((row) => row.note)).toEqual([
    '1.50 MB of model files from the network',
    '1.50 MB from the browser’s cache',
  ]);
});

test('each figure of memory says how it was measured', () => {
  const rows = memoryRows({
    ...REPORT,
    gpu_memory: { peak_bytes: 10, live_bytes: 5, largest_buffer_bytes: 5, buffers: 2 },
    wasm_peak_bytes: 20,
    js_heap_bytes: 30,
    user_agent_bytes: 40,
  });
  expect(shown(rows)).toEqual({ 'WebGPU, peak': '10 B', 'WASM, peak': '20 B', JavaScript: '30 B', 'Whole page': '40 B' });
  expect(rows.every(({ note }) => note !== undefined && note !== '')).toBe(true);
});

test('a probe shows what the browser has, lacks and does', () => {
  const product = { backend: 'wasm' as const, size: 256, samples_ms: [1, 2, 3], gflops: 5.5 };
  const rows = probeRows({
    ...PROBE,
    matrix_products: [product],
    gpu_allocation_note: 'not tried: the adapter is software',
    download_bytes_per_second: 4_000_000.4,
    storage_quota_bytes: 10_000_000_000,
    storage_usage_bytes: 0,
  });
  expect(shown(rows)).toEqual({
    'WASM has': 'SIMD, relaxed SIMD, threads, exceptions',
    'WASM lacks': '64-bit memory, JavaScript promises',
    'Matrix product on WASM': '5.50 GFLOPS',
    'GPU memory at once': 'unknown',
    'Storage quota': '10.0 GB',
    Download: '4.00 MB/s',
    Took: '1.20 s',
  });
  expect(rows.find(({ term }) => term === 'GPU memory at once')?.note).toBe('not tried: the adapter is software');
});

test('what a probe could not find out is left out', () => {
  expect(Object.keys(shown(probeRows(PROBE)))).toEqual(['WASM has', 'WASM lacks', 'GPU memory at once', 'Took']);
});
