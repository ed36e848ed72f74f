/** Pure arithmetic on what a model says: NaN and infinity are counted, and never taken for an answer. */
import type { LabelScore } from '../../contract';

export type Values = Float32Array | readonly number[];

export function countNonFinite(values: Values): number {
  let count = 0;
  for (const value of values) if (!Number.isFinite(value)) count += 1;
  return count;
}

/** Index of the largest value, the first one of equals; 0 where nothing is a number. */
export function argmax(values: Values): number {
  let best = 0;
  let most = -Infinity;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? NaN;
    if (value > most) [best, most] = [index, value];
  }
  return best;
}

/** The `count` most probable indices with their softmax probabilities, best first; none where a value is not finite. */
export function mostProbable(values: Values, count: number): { index: number; probability: number }[] {
  if (values.length === 0 || countNonFinite(values) > 0) return [];
  const numbers = Array.from(values);
  const highest = numbers[argmax(numbers)] ?? 0;
  // Of the difference, since the exponential of a large logit is infinite.
  const weights = numbers.map((value) => Math.exp(value - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights
    .map((weight, index) => ({ index, probability: weight / total }))
    .sort((one, two) => two.probability - one.probability)
    .slice(0, count);
}

/** The best labels of one text. */
export function bestLabels(values: Values, labelOf: (index: number) => string, count: number): LabelScore[] {
  return mostProbable(values, count).map(({ index, probability }) => ({ label: labelOf(index), score: probability }));
}
