/** Where model files come from: the network, or the browser's Cache Storage, which a first loading fills. */
import type { CacheUse } from '../messages';
import { cacheName } from '../storage';

export type Chunk = Uint8Array<ArrayBuffer>;

/** One file on its way. */
export interface Incoming {
  readonly from: 'network' | 'cache';
  /** The next bytes, or null at the end. */
  read(): Promise<Chunk | null>;
  cancel(reason?: unknown): Promise<void>;
}

export interface FileSource {
  /** `bytes` is the size that the file should have, where that is known. @throws Error when the file is not there. */
  open(url: string, bytes: number | undefined): Promise<Incoming>;
  /** Resolves when nothing is being written any more. @throws QuotaExceededError, and what else storing failed with. */
  settle(): Promise<void>;
}

export async function chooseSource(use: CacheUse, attempt: string): Promise<FileSource> {
  const network = new NetworkSource((input, init) => fetch(input, init));
  if (use === 'none') return network;
  const cache = await caches.open(cacheName(attempt));
  return use === 'fill' ? new FillingSource(network, cache) : new CachedSource(network, cache);
}

/** A connection without a byte for this long is given up. */
export const STALL_MS = 30_000;
const STALL_TICKS = 30;

export class NetworkSource implements FileSource {
  readonly #fetch: typeof fetch;
  readonly #stallMs: number;

  constructor(fetcher: typeof fetch, stallMs: number = STALL_MS) {
    this.#fetch = fetcher;
    this.#stallMs = stallMs;
  }

  async open(url: string, bytes: number | undefined): Promise<Incoming> {
    const connection = new AbortController();
    let received = 0;
    /** Only what somebody waits for can stall: a runtime that takes its time between two reads is not the network's. */
    const inTime = async <Result>(waiting: Promise<Result>): Promise<Result> => {
      const clock = new StallClock(this.#stallMs);
      const outcome = await Promise.race([waiting, clock.stalled]).finally(() => {
        clock.stop();
      });
      if (outcome !== STALLED) return outcome;
      // What was waited for fails now, and nobody waits for it any more.
      waiting.catch(() => undefined);
      connection.abort();
      const limit = `no byte for ${this.#stallMs / 1_000} s`;
      throw new Error(
        `Failed to fetch model: ${url} stalled: ${limit} after ${received} of ${bytes ?? 'unknown'} bytes`,
      );
    };
    const response = await inTime(this.#fetch(url, { signal: connection.signal }));
    if (response.body === null || !response.ok) {
      throw new Error(`Failed to fetch model: ${url} (${response.status})`);
    }
    const reader = response.body.getReader();
    return {
      from: 'network',
      read: async () => {
        const { done, value } = await inTime(reader.read());
        if (done) return null;
        received += value.byteLength;
        return value;
      },
      cancel: (reason) => reader.cancel(reason),
    };
  }

  settle(): Promise<void> {
    return Promise.resolve();
  }
}

const STALLED = Symbol('stalled');

/**
 * Counts in ticks: a runtime may block this thread for minutes while its bytes are waiting here, and then a single
 * timer would be due before they are read.
 */
class StallClock {
  readonly stalled: Promise<typeof STALLED>;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limitMs: number) {
    this.stalled = new Promise((resolve) => {
      const tick = (left: number): void => {
        if (left === 0) resolve(STALLED);
        else this.#timer = setTimeout(tick, limitMs / STALL_TICKS, left - 1);
      };
      tick(STALL_TICKS);
    });
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Files are kept in parts of this size, and how many there are under the file's own address: a browser holds each
 * entry in memory until it is complete, and a whole model would be charged to the memory that is being measured.
 */
export const PART_BYTES = 16 * 2 ** 20;

function partOf(url: string, index: number): string {
  return `${url}?part=${index}`;
}

/** The network, with a copy of what comes going to the cache: at most two parts are held in memory. */
export class FillingSource implements FileSource {
  readonly #network: FileSource;
  readonly #cache: Pick<Cache, 'put'>;
  readonly #stored = new Set<string>();
  readonly #writing = new Set<Promise<void>>();

  constructor(network: FileSource, cache: Pick<Cache, 'put'>) {
    this.#network = network;
    this.#cache = cache;
  }

  async open(url: string, bytes: number | undefined): Promise<Incoming> {
    const incoming = await this.#network.open(url, bytes);
    // A library that reads a file twice fetches it twice; once is enough for the cache.
    if (this.#stored.has(url)) return incoming;
    this.#stored.add(url);
    const copy = new StoredCopy(this.#cache, url, bytes);
    return {
      from: incoming.from,
      read: async () => {
        const chunk = await incoming.read();
        if (chunk !== null) await copy.add(chunk);
        // Who knows the format may not read on to the end of the stream.
        if (chunk === null || copy.isWhole) this.#finish(copy);
        return chunk;
      },
      cancel: (reason) => {
        if (!copy.isWhole) this.#stored.delete(url);
        return incoming.cancel(reason);
      },
    };
  }

  async settle(): Promise<void> {
    await Promise.all(this.#writing);
  }

  #finish(copy: StoredCopy): void {
    const written = copy.finish();
    written.catch(() => undefined);
    this.#writing.add(written);
  }
}

/** One file on its way into the cache. */
class StoredCopy {
  readonly #cache: Pick<Cache, 'put'>;
  readonly #url: string;
  readonly #bytes: number | undefined;
  readonly #part: Chunk;
  #filled = 0;
  #parts = 0;
  #total = 0;
  #writing: Promise<void> = Promise.resolve();
  #finished: Promise<void> | null = null;

  constructor(cache: Pick<Cache, 'put'>, url: string, bytes: number | undefined) {
    this.#cache = cache;
    this.#url = url;
    this.#bytes = bytes;
    this.#part = new Uint8Array(Math.max(1, Math.min(PART_BYTES, bytes ?? PART_BYTES)));
  }

  get isWhole(): boolean {
    return this.#total === this.#bytes;
  }

  /** Resolves when there is room for more. @throws what writing an earlier part failed with. */
  async add(chunk: Chunk): Promise<void> {
    let taken = 0;
    while (taken < chunk.byteLength) {
      const piece = chunk.subarray(taken, taken + this.#part.byteLength - this.#filled);
      this.#part.set(piece, this.#filled);
      this.#filled += piece.byteLength;
      taken += piece.byteLength;
      if (this.#filled === this.#part.byteLength) await this.#write();
    }
    this.#total += chunk.byteLength;
  }

  /** Resolves when the file is in the cache, with the number of its parts as the last word. */
  finish(): Promise<void> {
    this.#finished ??= (async () => {
      if (this.#filled > 0) await this.#write();
      await this.#writing;
      await this.#cache.put(this.#url, new Response(String(this.#parts)));
    })();
    return this.#finished;
  }

  /** Begins to write the part; waits for the one before. */
  async #write(): Promise<void> {
    await this.#writing;
    // The response has a copy of its own.
    const response = new Response(this.#part.subarray(0, this.#filled));
    this.#writing = this.#cache.put(partOf(this.#url, this.#parts), response);
    this.#writing.catch(() => undefined);
    this.#parts += 1;
    this.#filled = 0;
  }
}

/** The cache; what it does not have comes from the network. */
export class CachedSource implements FileSource {
  readonly #network: FileSource;
  readonly #cache: Pick<Cache, 'match'>;

  constructor(network: FileSource, cache: Pick<Cache, 'match'>) {
    this.#network = network;
    this.#cache = cache;
  }

  async open(url: string, bytes: number | undefined): Promise<Incoming> {
    const index = await this.#cache.match(url);
    if (index === undefined) return this.#network.open(url, bytes);
    const parts = Number(await index.text());
    let next = 0;
    let reader: ReadableStreamDefaultReader<Chunk> | null = null;
    const read = async (): Promise<Chunk | null> => {
      if (reader === null) {
        if (next === parts) return null;
        const part = await this.#cache.match(partOf(url, next));
        if (part?.body == null) throw new Error(`Failed to fetch model: part ${next} of ${url} has left the cache`);
        reader = part.body.getReader();
        next += 1;
      }
      const { done, value } = await reader.read();
      if (!done) return value;
      reader = null;
      return read();
    };
    return { from: 'cache', read, cancel: (reason) => reader?.cancel(reason) ?? Promise.resolve() };
  }

  settle(): Promise<void> {
    return this.#network.settle();
  }
}
