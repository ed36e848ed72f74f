import { expect, test } from 'vitest';

import { cut } from '../src/errors';
import { finiteOutput, requireFinite } from '../src/finite';

const GENERATION = { tokens_in: 1, tokens_out: 2, ttft_ms: 3, decode_ms: 4, source: 'clock' };

test('figures that are numbers pass', () => {
  expect(() => {
    requireFinite({ kind: 'generation', sample: GENERATION });
  }).not.toThrow();
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, -1])('a decode time of %d is none', (decode_ms) => {
  expect(() => {
    requireFinite({ kind: 'generation', sample: { ...GENERATION, decode_ms } });
  }).toThrow(`the runtime measured decode_ms as ${decode_ms}`);
});

test('an output of numbers stays as it is', () => {
  const output = { texts: ['a'], forced_ids: [1, 0], vectors: [[1, null]], labels: [[{ label: 'x', score: 1 }]] };
  expect(finiteOutput(output)).toEqual({ ...output, non_finite: 0 });
});

test('nonsense is left out and counted, beside what the adapter has counted', () => {
  const output = {
    forced_ids: [5, Number.NaN, 6, -1],
    vectors: [[Number.NaN, 2], [Number.NEGATIVE_INFINITY]],
    labels: [[{ label: 'x', score: Number.NaN }, { label: 'y', score: 0.5 }]],
    non_finite: 2,
  };
  expect(finiteOutput(output)).toEqual({
    texts: [],
    forced_ids: [5],
    vectors: [[null, 2], [null]],
    labels: [[{ label: 'y', score: 0.5 }]],
    non_finite: 8,
  });
});

test('a text is not cut within a character', () => {
  const text = `${'x'.repeat(19_998)}😀${'x'.repeat(10)}`;
  expect(cut(text)).toBe(`${'x'.repeat(19_998)}…`);
});
