import { describe, expect, test } from 'vitest';

import { argmax, bestLabels, countNonFinite, mostProbable } from '../src/worker/transformers_js/logits';

describe('what is not a number', () => {
  test('is counted', () => {
    expect(countNonFinite([1, NaN, Infinity, -Infinity, 0])).toBe(3);
    expect(countNonFinite(new Float32Array([1, 2]))).toBe(0);
    expect(countNonFinite([])).toBe(0);
  });

  test('is never chosen', () => {
    expect(argmax([NaN, 3, NaN, 7, NaN])).toBe(3);
    expect(argmax([NaN, NaN])).toBe(0);
    expect(argmax([])).toBe(0);
  });

  test.each([NaN, Infinity, -Infinity])('has no probabilities beside it: %d', (value) => {
    expect(mostProbable([1, value, 2], 5)).toEqual([]);
  });
});

test('the first of equals is chosen', () => {
  expect(argmax(new Float32Array([-5, -1, -1]))).toBe(1);
});

test('probabilities are the softmax, best first', () => {
  const [first, second, third] = mostProbable([Math.log(2), Math.log(5), Math.log(3)], 3);
  expect([first?.index, second?.index, third?.index]).toEqual([1, 2, 0]);
  expect([first?.probability, second?.probability, third?.probability].map((value) => value?.toFixed(6))).toEqual([
    '0.500000',
    '0.300000',
    '0.200000',
  ]);
});

test('large logits do not overflow', () => {
  const [best] = mostProbable([1000, 1001], 1);
  expect(best?.index).toBe(1);
  expect(best?.probability).toBeCloseTo(1 / (1 + Math.exp(-1)), 9);
});

test('labels are named, as many as there are', () => {
  const names = ['no', 'yes'];
  expect(bestLabels([0, 0], (index) => names[index] ?? '?', 5)).toEqual([
    { label: 'no', score: 0.5 },
    { label: 'yes', score: 0.5 },
  ]);
  expect(bestLabels([3, 1, 2, 0, 5, 4], String, 5).map(({ label }) => label)).toEqual(['4', '5', '0', '2', '1']);
});
