import { expect, test } from 'vitest';

import { cut, toPageErrors } from '../src/errors';

test('an exception keeps name, message and stack', () => {
  const [error] = toPageErrors(new RangeError('Array buffer allocation failed'), 'exception', 'init');
  expect(error).toMatchObject({
    source: 'exception',
    phase: 'init',
    name: 'RangeError',
    message: 'Array buffer allocation failed',
  });
  expect(error?.stack).toContain('errors.test');
});

test('causes are part of the message', () => {
  const error = new Error('no session', { cause: new Error('outer', { cause: 17 }) });
  expect(toPageErrors(error, 'exception', 'init')[0]?.message).toBe(
    'no session · caused by Error: outer · caused by number: 17',
  );
});

test('an array of GPU errors becomes one error each', () => {
  class GPUValidationError {
    constructor(readonly message: string) {}
  }
  const thrown = [new GPUValidationError('Buffer size (9) exceeds'), new GPUValidationError('Binding size (9)')];
  expect(toPageErrors(thrown, 'exception', 'init').map(({ name, message }) => [name, message])).toEqual([
    ['GPUValidationError', 'Buffer size (9) exceeds'],
    ['GPUValidationError', 'Binding size (9)'],
  ]);
});

test.each([
  [5242880, 'number', '5242880'],
  ['Aborted()', 'string', 'Aborted()'],
  [undefined, 'undefined', 'undefined'],
  [[], 'Array', '[]'],
  [{ message: 'unknown: gone' }, '', 'unknown: gone'],
  [{ code: 7 }, '', '{"code":7}'],
])('%j is never lost', (thrown, name, message) => {
  expect(toPageErrors(thrown, 'unhandled-rejection', 'measure')).toEqual([
    { source: 'unhandled-rejection', phase: 'measure', name, message, stack: '' },
  ]);
});

test('an object that JSON cannot hold is named by its kind', () => {
  const circular: { self?: object } = {};
  circular.self = circular;
  expect(toPageErrors(circular, 'console', 'init')[0]?.message).toBe('[object Object]');
});

test('texts are cut to what the contract takes', () => {
  expect(cut('x'.repeat(20_001))).toHaveLength(20_000);
  expect(cut('short')).toBe('short');
});
