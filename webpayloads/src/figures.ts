/** Figures in rows, for the person who watches the page. */
import type { PageReport, ProbeResult } from './contract';
import { bytes, count, duration, rate } from './format';
import { generationFigures, inferenceFigures } from './statistics';

/** A row without a value is not shown; the note says how the value was measured. */
export interface Row {
  term: string;
  value: string | null;
  note?: string;
}

export function speedRows(report: PageReport): Row[] {
  const generations = report.generation_samples ?? [];
  const inferences = report.inference_samples ?? [];
  const rows: Row[] = [];
  if (generations.length > 0) {
    const figures = generationFigures(generations);
    const last = generations.at(-1);
    rows.push(
      { term: 'Decode', value: rate(figures.decode_tokens_per_second, 'tok/s') },
      { term: 'Prefill', value: rate(figures.prefill_tokens_per_second, 'tok/s') },
      { term: 'First token', value: duration(figures.ttft_ms) },
      { term: 'Tokens', value: last ? `${count(last.tokens_in)} in, ${count(last.tokens_out)} out` : null },
    );
  }
  if (inferences.length > 0) {
    const figures = inferenceFigures(inferences);
    rows.push(
      { term: 'Latency', value: duration(figures.latency_ms) },
      { term: 'Throughput', value: rate(figures.inferences_per_second, '/s') },
    );
  }
  const loads = report.loads ?? [];
  for (const load of loads) {
    const sources = [
      load.network_bytes > 0 ? `${bytes(load.network_bytes)} of model files from the network` : null,
      load.cache_bytes > 0 ? `${bytes(load.cache_bytes)} from the browser’s cache` : null,
    ].filter((source) => source !== null);
    const term = loads.length > 1 || load.cache === 'warm' ? `Load, ${load.cache}` : 'Load';
    rows.push({ term, value: duration(load.load_ms), note: sources.join(', ') });
  }
  rows.push({ term: 'First inference', value: duration(report.first_inference_ms ?? null), note: 'with making the prompt; shaders compile here' });
  return rows;
}

export function memoryRows({ gpu_memory, wasm_peak_bytes, user_agent_bytes, js_heap_bytes }: PageReport): Row[] {
  return [
    { term: 'WebGPU, peak', value: bytes(gpu_memory?.peak_bytes ?? null), note: 'buffers and textures asked for and not given back' },
    { term: 'WASM, peak', value: bytes(wasm_peak_bytes ?? null), note: 'WebAssembly memories of the worker at their largest' },
    { term: 'JavaScript', value: bytes(js_heap_bytes ?? null), note: 'of the worker, by the browser’s own measurement' },
    { term: 'Whole page', value: bytes(user_agent_bytes ?? null), note: 'by the browser’s own measurement, after the last repetition' },
  ];
}

export function probeRows(probe: ProbeResult): Row[] {
  const { wasm } = probe;
  const features = [
    ['SIMD', wasm.simd],
    ['relaxed SIMD', wasm.relaxed_simd],
    ['threads', wasm.threads],
    ['64-bit memory', wasm.memory64],
    ['exceptions', wasm.exceptions],
    ['JavaScript promises', wasm.jspi],
  ] as const;
  const named = (wanted: boolean): string =>
    features.filter(([, has]) => has === wanted).map(([name]) => name).join(', ');
  const products = (probe.matrix_products ?? []).map(({ backend, size, samples_ms, gflops }) => ({
    term: `Matrix product on ${backend === 'webgpu' ? 'WebGPU' : 'WASM'}`,
    value: rate(gflops, 'GFLOPS'),
    note: `${size} × ${size} float32, median of ${samples_ms.length}`,
  }));
  return [
    { term: 'WASM has', value: named(true) || 'none of the newer features' },
    { term: 'WASM lacks', value: named(false) || null },
    ...products,
    {
      term: 'GPU memory at once',
      value: bytes(probe.gpu_allocated_bytes ?? null) ?? 'unknown',
      note: probe.gpu_allocation_note ?? '',
    },
    { term: 'Storage quota', value: bytes(probe.storage_quota_bytes ?? null), note: `${bytes(probe.storage_usage_bytes ?? 0)} used` },
    {
      term: 'Download',
      value: bytes(Math.round(probe.download_bytes_per_second ?? 0)) + '/s',
      note: 'from this page’s own server, not from the internet',
    },
    { term: 'Took', value: duration(probe.duration_ms) },
  ].filter(({ term }) => term !== 'Download' || probe.download_bytes_per_second != null);
}
