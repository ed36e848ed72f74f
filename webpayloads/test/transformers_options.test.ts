import { expect, test } from 'vitest';

import type { PageSpec } from '../src/contract';
import { flagOf } from '../src/options';

function saying(options: Record<string, unknown>): PageSpec {
  return { options } as unknown as PageSpec;
}

test.each([
  [{}, true],
  [{ chat: null }, true],
  [{ chat: true }, true],
  [{ chat: false }, false],
])('a flag of %j', (options, expected) => {
  expect(flagOf(saying(options), 'chat', true)).toBe(expected);
});

test.each(['no', 0, []])('%j is no flag', (value) => {
  expect(() => flagOf(saying({ chat: value }), 'chat', true)).toThrow(/options\.chat is .*allowed are true and false/);
});
