import { describe, expect, it } from 'vitest';

import { fill, fillByAsking } from '../src/prompt';

/** Long words are several tokens, as most tokenizers have it; full stops are one. */
function tokens(text: string): number {
  return text
    .split(/(?=[ .,])/)
    .map((word) => Math.ceil(word.length / 4))
    .reduce((sum, one) => sum + one, 0);
}

describe('fill', () => {
  it.each([1, 2, 7, 64, 511, 512])('makes a prompt of exactly %i tokens', (target) => {
    expect(tokens(fill(target, tokens))).toBe(target);
  });

  it('stays below what no filler can make', () => {
    expect(fill(7, (text) => 2 * tokens(text)).length).toBeGreaterThan(0);
    expect(2 * tokens(fill(7, (text) => 2 * tokens(text)))).toBe(6);
  });
});

describe('fillByAsking', () => {
  const template = 9;

  it.each([40, 64, 128, 511, 512, 1024])('makes a prompt of exactly %i tokens, its template included', async (target) => {
    const asked: string[] = [];
    const text = await fillByAsking(target, (one) => {
      asked.push(one);
      return Promise.resolve(template + tokens(one));
    });
    expect(template + tokens(text)).toBe(target);
    // Never the whole prompt: asking is running.
    expect(Math.max(...asked.map(tokens))).toBeLessThan(160);
    expect(asked.length).toBeLessThan(20);
  });

  it('is one word where the template alone is too long', async () => {
    const text = await fillByAsking(4, (one) => Promise.resolve(template + tokens(one)));
    expect(text.split(' ')).toHaveLength(1);
  });
});
