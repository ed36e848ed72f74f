/** Model files in the browser's Cache Storage: there for one attempt, and gone after it. */

export function cacheName(attempt: string): string {
  return `fitmatrix ${attempt}`;
}

/** Resolves when nothing of the attempt's model is left; a browser without Cache Storage has nothing. */
export async function forgetModel(attempt: string): Promise<void> {
  await (globalThis as { caches?: CacheStorage }).caches?.delete(cacheName(attempt));
}
