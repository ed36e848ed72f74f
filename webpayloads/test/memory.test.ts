import { afterEach, expect, test, vi } from 'vitest';

import { measurePage } from '../src/memory';

const WORKER = [{ scope: 'DedicatedWorkerGlobalScope' }];
const MEASURED = {
  bytes: 1_000,
  breakdown: [
    { bytes: 600, attribution: WORKER, types: ['JavaScript'] },
    { bytes: 200, attribution: [{ scope: 'Window' }], types: ['JavaScript'] },
    { bytes: 100, attribution: WORKER, types: ['DOM'] },
    { bytes: 60, attribution: WORKER, types: ['JavaScript'] },
    { bytes: 40, attribution: [], types: [] },
  ],
};

afterEach(() => {
  vi.useRealTimers();
});

test('the workers’ JavaScript is told apart from the whole page', async () => {
  const performance = { measureUserAgentSpecificMemory: () => Promise.resolve(MEASURED) };
  expect(await measurePage(performance, true)).toEqual({ user_agent_bytes: 1_000, js_heap_bytes: 660 });
});

test('there is no figure without isolation, without the method, or where it refuses', async () => {
  const measureUserAgentSpecificMemory = vi.fn(() => Promise.reject(new Error('SecurityError')));
  expect(await measurePage({ measureUserAgentSpecificMemory }, false)).toBeNull();
  expect(measureUserAgentSpecificMemory).not.toHaveBeenCalled();
  expect(await measurePage({}, true)).toBeNull();
  expect(await measurePage({ measureUserAgentSpecificMemory }, true)).toBeNull();
});

test('a browser that does not answer is not waited for', async () => {
  vi.useFakeTimers();
  const measured = measurePage({ measureUserAgentSpecificMemory: () => new Promise(() => undefined) }, true);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await measured).toBeNull();
});
