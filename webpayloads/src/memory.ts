/** Memory as the browser itself tells it. */

/** Longest wait for a figure that some browsers only have after their next garbage collection. */
const LONGEST_WAIT_MS = 15_000;

interface MeasuringPerformance {
  memory?: { usedJSHeapSize: number };
  measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }>;
}

/** JavaScript's heap in this thread; null where the browser does not say. */
export function usedHeapBytes(performance: Performance): number | null {
  return (performance as MeasuringPerformance).memory?.usedJSHeapSize ?? null;
}

/** The whole page with its workers; null where the browser does not say, or not in time. */
export async function userAgentBytes(performance: Performance, isolated: boolean): Promise<number | null> {
  const measuring = performance as MeasuringPerformance;
  if (!isolated || measuring.measureUserAgentSpecificMemory === undefined) return null;
  const late = new Promise<null>((resolve) => {
    setTimeout(resolve, LONGEST_WAIT_MS, null);
  });
  try {
    return (await Promise.race([measuring.measureUserAgentSpecificMemory(), late]))?.bytes ?? null;
  } catch {
    return null;
  }
}
