import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import {
  CachedSource,
  FillingSource,
  NetworkSource,
  PART_BYTES,
  type FileSource,
  type Incoming,
} from '../src/worker/file_source';

const URL_OF_FILE = 'http://localhost:1/run/r.1/model/weights.bin';

/** A body whose chunks come when the test says so. */
function controlledBody() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
  });
  return { stream, send: (bytes: number) => controller?.enqueue(new Uint8Array(bytes)) };
}

async function readAll(incoming: Incoming): Promise<number[]> {
  const bytes: number[] = [];
  for (let chunk = await incoming.read(); chunk !== null; chunk = await incoming.read()) bytes.push(...chunk);
  return bytes;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a connection without a byte is given up, and says how far it came', async () => {
  const { stream, send } = controlledBody();
  let signal: AbortSignal | null | undefined;
  const network = new NetworkSource((_url, init) => {
    signal = init?.signal;
    return Promise.resolve(new Response(stream));
  });
  const incoming = await network.open(URL_OF_FILE, 100);
  send(40);
  expect((await incoming.read())?.byteLength).toBe(40);
  const stalled = expect(incoming.read()).rejects.toThrow(
    `Failed to fetch model: ${URL_OF_FILE} stalled: no byte for 30 s after 40 of 100 bytes`,
  );
  await vi.advanceTimersByTimeAsync(29_999);
  expect(signal?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await stalled;
  expect(signal?.aborted).toBe(true);
});

test('an answer that does not begin is a stall as well', async () => {
  const network = new NetworkSource(() => new Promise(() => undefined), 3_000);
  const stalled = expect(network.open(URL_OF_FILE, 100)).rejects.toThrow('no byte for 3 s after 0 of 100 bytes');
  await vi.advanceTimersByTimeAsync(3_000);
  await stalled;
});

test('who does not read cannot stall', async () => {
  const { stream, send } = controlledBody();
  const incoming = await new NetworkSource(() => Promise.resolve(new Response(stream)), 1_000).open(URL_OF_FILE, 2);
  send(1);
  await incoming.read();
  await vi.advanceTimersByTimeAsync(60_000);
  send(1);
  expect((await incoming.read())?.byteLength).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

test('a thread that was blocked has not waited', async () => {
  const { stream, send } = controlledBody();
  const incoming = await new NetworkSource(() => Promise.resolve(new Response(stream)), 1_000).open(URL_OF_FILE, 1);
  const read = incoming.read();
  // All timers that fall due while a thread is blocked fire once it is free: here one of them, ages too late.
  vi.setSystemTime(Date.now() + 60_000);
  await vi.advanceTimersToNextTimerAsync();
  send(1);
  expect((await read)?.byteLength).toBe(1);
});

test('what the server does not have is said with its status', async () => {
  const network = new NetworkSource(() => Promise.resolve(new Response('no', { status: 404 })));
  await expect(network.open(URL_OF_FILE, 1)).rejects.toThrow(`Failed to fetch model: ${URL_OF_FILE} (404)`);
});

/** A cache whose writing can be held up, or refused. */
function fakeCache() {
  const entries = new Map<string, Uint8Array<ArrayBuffer>>();
  const cache = {
    trouble: null as Error | null,
    gate: Promise.resolve(),
    put: async (request: RequestInfo | URL, response: Response) => {
      const body = new Uint8Array(await response.arrayBuffer());
      await cache.gate;
      if (cache.trouble !== null) throw cache.trouble;
      entries.set(request as string, body);
    },
    match: (request: RequestInfo | URL) => {
      const body = entries.get(request as string);
      return Promise.resolve(body && new Response(body));
    },
  };
  return { cache, entries };
}

/** A network that sends these chunks. */
function sending(...chunks: Uint8Array<ArrayBuffer>[]): FileSource & { opened: number } {
  const network = {
    opened: 0,
    open: () => {
      network.opened += 1;
      const left = [...chunks];
      return Promise.resolve<Incoming>({
        from: 'network',
        read: () => Promise.resolve(left.shift() ?? null),
        cancel: () => Promise.resolve(),
      });
    },
    settle: () => Promise.resolve(),
  };
  return network;
}

test('what comes from the network comes from the cache the next time, byte for byte', async () => {
  const { cache } = fakeCache();
  const network = sending(Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5));
  const filling = new FillingSource(network, cache);
  const first = await filling.open(URL_OF_FILE, 5);
  expect([first.from, await readAll(first)]).toEqual(['network', [1, 2, 3, 4, 5]]);
  await filling.settle();

  const second = await new CachedSource(network, cache).open(URL_OF_FILE, 5);
  expect([second.from, await readAll(second)]).toEqual(['cache', [1, 2, 3, 4, 5]]);
  expect(network.opened).toBe(1);
});

test('a chunk that the runtime takes away is in the cache all the same', async () => {
  const { cache, entries } = fakeCache();
  const filling = new FillingSource(sending(Uint8Array.of(1, 2)), cache);
  const chunk = await (await filling.open(URL_OF_FILE, 2)).read();
  structuredClone(chunk, { transfer: [chunk?.buffer ?? new ArrayBuffer()] });
  // No end of the stream has been read: who knows the format needs none.
  await filling.settle();
  expect([...(entries.get(`${URL_OF_FILE}?part=0`) ?? [])]).toEqual([1, 2]);
});

test('large files are kept in parts, and no more than one waits to be written', async () => {
  const { cache, entries } = fakeCache();
  let open: () => void = () => undefined;
  cache.gate = new Promise((resolve) => {
    open = resolve;
  });
  const size = 2 * PART_BYTES + 1;
  const filling = new FillingSource(sending(new Uint8Array(PART_BYTES), new Uint8Array(PART_BYTES + 1)), cache);
  const incoming = await filling.open(URL_OF_FILE, size);
  expect((await incoming.read())?.byteLength).toBe(PART_BYTES);
  let read = false;
  const next = incoming.read().then(() => {
    read = true;
  });
  await vi.advanceTimersByTimeAsync(10);
  expect(read).toBe(false);
  open();
  await next;
  await filling.settle();
  expect([...entries].map(([url, body]) => [url.replace(URL_OF_FILE, ''), body.byteLength])).toEqual([
    ['?part=0', PART_BYTES],
    ['?part=1', PART_BYTES],
    ['?part=2', 1],
    ['', 1],
  ]);
});

test('a cache that is full says so, at the latest when it settles', async () => {
  const { cache } = fakeCache();
  cache.trouble = new DOMException('Quota exceeded.', 'QuotaExceededError');
  const filling = new FillingSource(sending(Uint8Array.of(1)), cache);
  await readAll(await filling.open(URL_OF_FILE, 1));
  await expect(filling.settle()).rejects.toThrow('Quota exceeded.');
});

test('a full cache stops the reading of a large file', async () => {
  const { cache } = fakeCache();
  cache.trouble = new DOMException('Quota exceeded.', 'QuotaExceededError');
  const part = new Uint8Array(PART_BYTES);
  const incoming = await new FillingSource(sending(part, part, part), cache).open(URL_OF_FILE, 3 * PART_BYTES);
  await incoming.read();
  await expect(incoming.read()).rejects.toThrow('Quota exceeded.');
});

test('a file that was not read to its end is not in the cache', async () => {
  const { cache, entries } = fakeCache();
  const network = sending(Uint8Array.of(1), Uint8Array.of(2));
  const filling = new FillingSource(network, cache);
  const incoming = await filling.open(URL_OF_FILE, 2);
  await incoming.read();
  await incoming.cancel();
  await filling.settle();
  expect(entries.size).toBe(0);
  const again = await new CachedSource(network, cache).open(URL_OF_FILE, 2);
  expect(again.from).toBe('network');
});
