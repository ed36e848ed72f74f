import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { NetworkSource } from '../src/worker/file_source';
import { ModelFiles } from '../src/worker/model_files';

const BASE = 'http://localhost:1/run/r.1/';
const WEIGHTS = { path: 'onnx/model.onnx', sha256: 'a'.repeat(64), bytes: 6 };
const CONFIG = { path: 'config.json', sha256: 'b'.repeat(64), bytes: 2 };

let bodies: Record<string, string[] | number>;
let complete: ReturnType<typeof vi.fn<() => Promise<void>>>;
let progress: ReturnType<typeof vi.fn<(loaded: number, total: number) => void>>;
let failed: ReturnType<typeof vi.fn<(reason: unknown) => void>>;

function serve(input: RequestInfo | URL): Promise<Response> {
  const body = bodies[input as string] ?? 404;
  if (typeof body === 'number') return Promise.resolve(new Response('no', { status: body }));
  const parts = body.map((part) => new TextEncoder().encode(part));
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else controller.enqueue(part);
    },
  });
  return Promise.resolve(new Response(stream, { headers: { 'Content-Length': String(body.join('').length) } }));
}

function newFiles(fetcher: typeof fetch = serve): ModelFiles {
  return new ModelFiles(BASE, [CONFIG, WEIGHTS], new NetworkSource(fetcher), { progress, complete, failed });
}

beforeEach(() => {
  bodies = { [`${BASE}model/config.json`]: ['{}'], [`${BASE}model/onnx/model.onnx`]: ['abc', 'def'] };
  complete = vi.fn<() => Promise<void>>().mockResolvedValue();
  progress = vi.fn<(loaded: number, total: number) => void>();
  failed = vi.fn<(reason: unknown) => void>();
  vi.stubGlobal('fetch', serve);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

test('the root lies below the page', () => {
  expect(newFiles().root).toBe(`${BASE}model/`);
});

test('bytes are counted as they stream', async () => {
  const files = newFiles();
  const response = await files.fetch(`${BASE}model/onnx/model.onnx`);
  expect(response.headers.get('content-length')).toBe('6');
  expect(await response.text()).toBe('abcdef');
  expect(files.loaded).toEqual({ network_bytes: 6, cache_bytes: 0 });
  expect(progress.mock.calls).toEqual([
    [3, 8],
    [6, 8],
  ]);
});

test('a file read twice counts once', async () => {
  const files = newFiles();
  for (let time = 0; time < 2; time += 1) await (await files.fetch(`${BASE}model/config.json`)).text();
  expect(progress.mock.lastCall).toEqual([2, 8]);
});

test('the last bytes of the weights wait for the word that they are in', async () => {
  let goOn: () => void = () => undefined;
  complete.mockReturnValue(
    new Promise((resolve) => {
      goOn = resolve;
    }),
  );
  const reader = (await newFiles().stream(WEIGHTS.path)).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('abc');
  const last = reader.read();
  await vi.waitFor(() => {
    expect(complete).toHaveBeenCalledOnce();
  });
  await expect(Promise.race([last, Promise.resolve('still held')])).resolves.toBe('still held');
  goOn();
  expect(new TextDecoder().decode((await last).value)).toBe('def');
  expect((await reader.read()).done).toBe(true);
});

test('a file on its way holds back that all is here', async () => {
  bodies[`${BASE}model/config.json`] = ['{', '}'];
  const files = newFiles();
  const config = (await files.stream(CONFIG.path)).getReader();
  await config.read();
  await (await files.fetch(`${BASE}model/onnx/model.onnx`)).text();
  expect(complete).not.toHaveBeenCalled();
  await config.read();
  expect(complete).toHaveBeenCalledOnce();
});

test('a file that is only looked for is not asked for', async () => {
  const asked: string[] = [];
  const files = newFiles((input) => {
    asked.push(input as string);
    return serve(input);
  });
  const looked = await files.fetch(`${BASE}model/config.json`);
  expect([looked.status, looked.headers.get('content-length')]).toEqual([200, '2']);
  await looked.body?.cancel();
  await (await files.fetch(`${BASE}model/onnx/model.onnx`)).text();
  expect(asked).toEqual([`${BASE}model/onnx/model.onnx`]);
  expect(complete).toHaveBeenCalledOnce();
});

test('a body that ends early is an error', async () => {
  bodies[`${BASE}model/onnx/model.onnx`] = ['abc'];
  const response = await newFiles().fetch(`${BASE}model/onnx/model.onnx`);
  await expect(response.text()).rejects.toThrow('ended after 3 of 6 bytes');
  expect(failed).toHaveBeenCalledOnce();
});

test.each(['<!doctype html><title>Sign in</title>', '\n <HTML lang="en">'])('%s is no model', async (page) => {
  bodies[`${BASE}model/onnx/model.onnx`] = [page];
  const response = await newFiles().fetch(`${BASE}model/onnx/model.onnx`);
  await expect(response.text()).rejects.toThrow('model/onnx/model.onnx is an HTML page');
  expect(failed).toHaveBeenCalledOnce();
});

test('an optional file is its reader’s business, one of the variant’s is not', async () => {
  const files = newFiles();
  expect((await files.fetch(`${BASE}model/vocab.txt`)).status).toBe(404);
  await expect(files.stream('vocab.txt')).rejects.toThrow(`Failed to fetch model: ${BASE}model/vocab.txt (404)`);
  expect(failed).not.toHaveBeenCalled();
  bodies[`${BASE}model/config.json`] = 500;
  await expect((await files.fetch(`${BASE}model/config.json`)).text()).rejects.toThrow('(500)');
  expect(failed).toHaveBeenCalledOnce();
});

test('what is no model file passes untouched', async () => {
  bodies['http://localhost:1/other'] = ['x'];
  await (await newFiles().fetch('http://localhost:1/other')).text();
  expect(progress).not.toHaveBeenCalled();
});
