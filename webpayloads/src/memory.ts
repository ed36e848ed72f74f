/**
 * Memory as the browser itself tells it. `performance.memory` would be cheaper, but no worker has it, and the model
 * runs in one.
 */

/**
 * Longest wait. Agents start browsers so that they answer at once; others (a WebView, whose flags nobody can set)
 * measure at their next garbage collection, which may take 20 s and is not worth waiting for.
 */
const LONGEST_WAIT_MS = 3_000;

interface Measurement {
  bytes: number;
  breakdown: readonly { bytes: number; attribution: readonly { scope: string }[]; types: readonly string[] }[];
}

/** What `measureUserAgentSpecificMemory` is a part of. */
export interface MeasuringPerformance {
  measureUserAgentSpecificMemory?: () => Promise<Measurement>;
}

export interface PageMemory {
  /** The whole page with its workers. */
  user_agent_bytes: number;
  /** JavaScript of the workers, array buffers included, WebAssembly memories not. */
  js_heap_bytes: number;
}

/** Null where the browser does not say, or not in time. */
export async function measurePage(performance: MeasuringPerformance, isolated: boolean): Promise<PageMemory | null> {
  if (!isolated || performance.measureUserAgentSpecificMemory === undefined) return null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, LONGEST_WAIT_MS, null);
  });
  try {
    const measured = await Promise.race([performance.measureUserAgentSpecificMemory(), late]);
    return measured === null ? null : { user_agent_bytes: measured.bytes, js_heap_bytes: workerBytes(measured) };
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function workerBytes({ breakdown }: Measurement): number {
  return breakdown
    .filter(({ types }) => types.includes('JavaScript'))
    .filter(({ attribution }) => attribution.some(({ scope }) => scope === 'DedicatedWorkerGlobalScope'))
    .reduce((sum, { bytes }) => sum + bytes, 0);
}
