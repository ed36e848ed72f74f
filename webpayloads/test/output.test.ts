import { expect, test } from 'vitest';

import type { LabelValidation, TextValidation } from '../src/contract';
import { outputParts } from '../src/output';

const TEXT: TextValidation = {
  check: 'text',
  prompt: 'Where is Paris?',
  max_tokens: 8,
  expected_substring: null,
  reference_text: null,
  prompt_ids: null,
  reference_ids: null,
  reference_source: null,
  min_agreement: 0.95,
  repeatable: true,
};
const LABELS: LabelValidation = {
  check: 'labels',
  texts: ['good'],
  reference: [[{ label: 'positive', score: 0.9 }, { label: 'negative', score: 0.1 }]],
  reference_source: 'onnxruntime',
  max_score_difference: 0.05,
};

function words(...args: Parameters<typeof outputParts>): string[] {
  return outputParts(...args).map((part) => part.words);
}

test('a generated text stands beside its prompt', () => {
  expect(words({ ...TEXT, expected_substring: 'France' }, { texts: ['In France', 'In France'] })).toEqual([
    'Prompt',
    'Where is Paris?',
    'Generated',
    'In France',
    'The second generation is identical.',
    '“France” is in the text.',
  ]);
});

test('a second text that differs is shown, and no text is said to be none', () => {
  const shown = words(TEXT, { texts: ['', 'x'] });
  expect(shown).toContain('(nothing)');
  expect(shown.slice(-2)).toEqual(['The second generation differs:', 'x']);
});

test('forced tokens are compared one by one', () => {
  const validation = { ...TEXT, prompt_ids: [1], reference_ids: [1, 2, 3, 4], reference_source: 'onnxruntime 1.31' };
  expect(words(validation, { forced_ids: [1, 9, 3, 4] }).at(-1)).toBe(
    '75 % of 4 tokens are those of the reference (onnxruntime 1.31), each given all those before it.',
  );
});

test('labels stand beside the scores that were expected', () => {
  const labels = [[{ label: 'positive', score: 0.875 }, { label: 'neutral', score: 0.1 }]];
  expect(words(LABELS, { labels })).toEqual(['good', 'positive: 0.8750 (reference 0.9000)', 'neutral: 0.1000']);
});

test('a best label that is missing is said to be', () => {
  expect(words(LABELS, { labels: [[]] })).toEqual([
    'good',
    'The reference’s best, positive (0.9000), is not among them.',
  ]);
});

test('embeddings are compared by their cosine, and nonsense is counted', () => {
  const validation = { check: 'embedding' as const, texts: ['a', 'b'], reference: [[1, 0], [1, 0]], reference_source: null, min_cosine: 0.99 };
  expect(words(validation, { vectors: [[2, 0], [null, 1]], non_finite: 1 })).toEqual([
    'a',
    'cosine 1.00000',
    'b',
    'does not compare with the reference',
    'One value was no number.',
  ]);
});
