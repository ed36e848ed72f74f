/** WebGPU adapters, described for the report. */
import type { GpuAdapter } from './contract';

const LONGEST_LABEL = 120;

export function describeAdapter(adapter: GPUAdapter): GpuAdapter {
  const info = adapter.info;
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype, which `Object.entries` would miss.
  for (const name in adapter.limits) {
    const value: unknown = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  return {
    vendor: label(info.vendor),
    architecture: label(info.architecture),
    device: label(info.device),
    description: label(info.description),
    fallback: info.isFallbackAdapter,
    features: [...adapter.features].sort(),
    limits,
  };
}

/**
 * Asks for an adapter before anything is downloaded.
 *
 * @throws Error in the words of the libraries that would fail the same way later.
 */
export async function requireAdapter(): Promise<GpuAdapter> {
  const gpu = (navigator as { gpu?: GPU }).gpu;
  if (gpu === undefined) throw new Error('navigator.gpu is undefined');
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error('requestAdapter() returned null: no GPU adapter found');
  return describeAdapter(adapter);
}

function label(text: string): string | null {
  return text === '' ? null : text.slice(0, LONGEST_LABEL);
}
