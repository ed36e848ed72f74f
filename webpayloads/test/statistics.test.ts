import { expect, test } from 'vitest';

import { bytes, duration } from '../src/format';
import { chunkTimes, cosine, generationFigures, inferenceFigures, leadingAgreement, median } from '../src/statistics';

test.each([
  [[], null],
  [[3], 3],
  [[5, 1, 3], 3],
  [[4, 1, 3, 2], 2.5],
])('median of %j is %j', (values, expected) => {
  expect(median(values)).toBe(expected);
});

test('chunks have the times since the start, of so many as the contract takes', () => {
  expect(chunkTimes(10, [12.5, 20, 20.000_4])).toEqual([2.5, 10, 10]);
  expect(chunkTimes(0, Array.from({ length: 1_001 }, (_, at) => at))).toHaveLength(1_000);
});

test('decode speed leaves out what came with the first chunk', () => {
  const figures = generationFigures([
    { tokens_in: 512, tokens_out: 129, first_chunk_tokens: 3, ttft_ms: 256, decode_ms: 1_000 },
  ]);
  expect(figures).toEqual({ ttft_ms: 256, prefill_tokens_per_second: 2_000, decode_tokens_per_second: 126 });
});

test('a single chunk has no decode speed', () => {
  const sample = { tokens_in: 8, tokens_out: 1, ttft_ms: 10, decode_ms: 0 };
  expect(generationFigures([sample]).decode_tokens_per_second).toBeNull();
});

test('throughput counts the batch', () => {
  const figures = inferenceFigures([10, 20, 40].map((latency_ms) => ({ latency_ms, batch: 4 })));
  expect(figures).toEqual({ latency_ms: 20, inferences_per_second: 200 });
});

test.each([
  [[1, 0], [1, 0], 1],
  [[1, 0], [0, 1], 0],
  [[null, 0], [0, 1], null],
  [[1], [1, 0], null],
  [[0, 0], [1, 0], null],
])('cosine of %j and %j is %j', (a, b, expected) => {
  expect(cosine(a, b)).toBe(expected);
});

test.each([
  ['Paris is', 'Paris is', 1],
  ['Paris', 'Paris is it', 5 / 11],
  ['Lyon', 'Paris', 0],
  ['anything', '', 1],
  ['🦊x', '🦊y', 0.5],
])('%j repeats of %j the share %d', (text, reference, expected) => {
  expect(leadingAgreement(text, reference)).toBe(expected);
});

test('figures read well', () => {
  expect([bytes(0), bytes(999), bytes(23_395_828), bytes(1.258e9)]).toEqual(['0 B', '999 B', '23.4 MB', '1.26 GB']);
  expect([duration(2.5), duration(1_234), duration(61_500), duration(600_000)]).toEqual([
    '2.50 ms',
    '1.23 s',
    '61.5 s',
    '10 min 0 s',
  ]);
});
