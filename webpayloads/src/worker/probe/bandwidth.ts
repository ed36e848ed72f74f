/** How fast the page's server sends: the path that every download of this lab takes. */
const MOST_BYTES = 4 * 2 ** 20;
const LONGEST_MS = 1_000;

/** Bytes a second of a part of the file at `address`, which is not taken from a cache. @throws Error without the file. */
export async function downloadRate(address: URL, fetcher: typeof fetch): Promise<number> {
  const fresh = new URL(address);
  fresh.searchParams.set('at', String(performance.timeOrigin + performance.now()));
  const start = performance.now();
  const response = await fetcher(fresh, { cache: 'no-store', headers: { Range: `bytes=0-${MOST_BYTES - 1}` } });
  if (!response.ok || response.body === null) throw new Error(`${address.href} cannot be had (${response.status})`);
  const reader = response.body.getReader();
  let received = 0;
  let elapsed = 0;
  // To the end of the part, so that DevTools counts it whole; a server may send more than was asked for.
  while (received <= MOST_BYTES && elapsed < LONGEST_MS) {
    const { done, value } = await reader.read();
    elapsed = performance.now() - start;
    if (done) break;
    received += value.byteLength;
  }
  await reader.cancel();
  if (received === 0 || elapsed === 0) throw new Error(`${address.href} brought nothing to measure`);
  return (received * 1_000) / elapsed;
}
