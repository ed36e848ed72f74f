import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { PageError } from '../src/contract';
import { GRACE_MS, Hearing, NeverSettled } from '../src/worker/hearing';

let told: PageError[];
let hearing: Hearing;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  hearing = new Hearing((error) => told.push(error));
});
afterEach(() => {
  vi.useRealTimers();
});

function pending() {
  let resolve: (value: string) => void = () => undefined;
  const call = new Promise<string>((done) => {
    resolve = done;
  });
  const outcome = vi.fn();
  hearing.watch(call).then(outcome, outcome);
  return { resolve, outcome };
}

test('a call that settles passes its result on', async () => {
  expect(await hearing.watch(Promise.resolve('text'))).toBe('text');
  await expect(hearing.watch(Promise.reject(new Error('own')))).rejects.toThrow('own');
});

test('a call that does not settle after a mortal error fails when the grace is over', async () => {
  const { outcome } = pending();
  hearing.phase = 'init';
  hearing.hear(new Error('memory access out of bounds'), 'unhandled-rejection', true);
  await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
  expect(outcome).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(outcome).toHaveBeenCalledExactlyOnceWith(expect.any(NeverSettled));
  expect(told).toMatchObject([
    { source: 'unhandled-rejection', phase: 'init', message: 'memory access out of bounds' },
  ]);
});

test('a call that settles within the grace has survived', async () => {
  const { resolve, outcome } = pending();
  hearing.hear(new Error('harmless'), 'worker-error', true);
  resolve('text');
  await vi.advanceTimersByTimeAsync(GRACE_MS * 2);
  expect(outcome).toHaveBeenCalledExactlyOnceWith('text');
});

test('a sign of life starts the grace anew', async () => {
  const { outcome } = pending();
  hearing.hear(new Error('harmless'), 'gpu-error', true);
  await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
  hearing.alive();
  await vi.advanceTimersByTimeAsync(GRACE_MS - 1);
  expect(outcome).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(outcome).toHaveBeenCalledExactlyOnceWith(expect.any(NeverSettled));
});

test('a message on the console is told, and kills nothing', async () => {
  const { outcome } = pending();
  hearing.hear({ message: 'Some nodes were not assigned' }, 'console', false);
  await vi.advanceTimersByTimeAsync(GRACE_MS * 2);
  expect(told).toHaveLength(1);
  expect(outcome).not.toHaveBeenCalled();
});

test('an error between two calls does not fail the next one', async () => {
  hearing.hear(new Error('earlier'), 'unhandled-rejection', true);
  const { outcome } = pending();
  await vi.advanceTimersByTimeAsync(GRACE_MS * 2);
  expect(outcome).not.toHaveBeenCalled();
});

test('once the runtime is being closed, its troubles are no news', () => {
  hearing.deaf = true;
  hearing.hear({ message: 'destroyed: Device was destroyed.' }, 'device-lost', true);
  expect(told).toEqual([]);
});
