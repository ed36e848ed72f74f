import { expect, test } from 'vitest';

import { fit, words } from '../src/prompt';

test('as many words as asked for', () => {
  for (const count of [1, 7, 500]) expect(words(count).split(' ')).toHaveLength(count);
});

test.each([1, 2, 31, 32, 33, 512])('the longest prompt within %d tokens', (target) => {
  const tokens = (text: string): number => Math.ceil(text.split(' ').length * 1.3);
  const prompt = fit(target, tokens);
  const length = prompt.split(' ').length;
  expect(tokens(words(length + 1))).toBeGreaterThan(target);
  expect(length === 1 || tokens(prompt) <= target).toBe(true);
});
