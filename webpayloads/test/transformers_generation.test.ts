import { Tensor } from '@huggingface/transformers';
import { describe, expect, test } from 'vitest';

import type { TextValidation } from '../src/contract';
import { Generation } from '../src/worker/transformers_js/generation';
import type { Loaded } from '../src/worker/transformers_js/library';

type Tensors = Record<string, Tensor>;

const WORDS = 10;
/** The token that makes the model say NaN. */
const POISON = 9;

/** Each token is followed by the next higher one. An export says so for all positions or for the last one alone. */
function pretend(lastOnly: boolean): { loaded: Loaded; passes: number[][] } {
  const passes: number[][] = [];
  const forward = (inputs: Tensors & { past_key_values: Tensors }): Promise<Tensors> => {
    const ids = Array.from(inputs.input_ids?.data as BigInt64Array, Number);
    passes.push(ids);
    const length = (inputs.past_key_values['past_key_values.0.key']?.dims[2] ?? 0) + ids.length;
    if (inputs.attention_mask?.dims[1] !== length) throw new Error('cache and attention mask differ');
    const said = lastOnly ? ids.slice(-1) : ids;
    const logits = said.flatMap((id) =>
      Array.from({ length: WORDS }, (_, word) => (id === POISON ? NaN : word === id + 1 ? 1 : 0)),
    );
    return Promise.resolve({
      logits: new Tensor('float32', new Float32Array(logits), [1, said.length, WORDS]),
      'present.0.key': new Tensor('float32', new Float32Array(length), [1, 1, length, 1]),
    });
  };
  const generate = ({ input_ids, logits_processor, max_new_tokens }: {
    input_ids: Tensor;
    logits_processor: ((ids: unknown, logits: Tensor) => Tensor)[];
    max_new_tokens: number;
  }): Promise<Tensor> => {
    const ids = [...(input_ids.data as BigInt64Array), 7n];
    const logits = new Tensor('float32', new Float32Array([-Infinity, NaN, max_new_tokens]), [1, 3]);
    for (const processor of logits_processor) processor([], logits);
    return Promise.resolve(new Tensor('int64', BigInt64Array.from(ids), [1, ids.length]));
  };
  const tokenizer = { batch_decode: (batch: Tensor) => [`said ${String(batch.data)}`] };
  return { loaded: { model: { forward, generate }, tokenizer, threads: 1 } as unknown as Loaded, passes };
}

function asking(changes: Partial<TextValidation>): TextValidation {
  return {
    check: 'text',
    prompt: 'unused',
    max_tokens: 4,
    expected_substring: null,
    min_agreement: 0.95,
    prompt_ids: [1, 2, 3],
    reference_ids: [4, 5, 8, 9],
    reference_source: null,
    reference_text: null,
    repeatable: false,
    ...changes,
  };
}

describe.each([
  ['all positions', false, [[1, 2, 3, 4, 5, 8]]],
  // The first pass finds out that it is so.
  ['the last position alone', true, [[1, 2, 3, 4, 5, 8], [1, 2, 3], [4], [5], [8]]],
])('an export with logits for %s', (_, lastOnly, expected) => {
  test('chooses at each reference token, given all those before it', async () => {
    const { loaded, passes } = pretend(lastOnly);
    const output = await new Generation(loaded, () => undefined).validate(asking({}), true);
    expect(output.forced_ids).toEqual([4, 5, 6, 9]);
    expect(passes).toEqual(expected);
  });

  test('counts what is not a number', async () => {
    const { loaded } = pretend(lastOnly);
    const asked = asking({ reference_ids: [4, POISON, 3] });
    const output = await new Generation(loaded, () => undefined).validate(asked, true);
    expect(output.forced_ids).toEqual([4, 5, 0]);
    // All words after the poison, and one in the answer; −∞ there is how words are ruled out.
    expect(output.non_finite).toBe(WORDS + 1);
  });
});

test('the answer is what comes after the prompt, twice if asked for', async () => {
  const { loaded, passes } = pretend(false);
  const asked = asking({ reference_ids: null, repeatable: true });
  const output = await new Generation(loaded, () => undefined).validate(asked, true);
  expect(output.texts).toEqual(['said 7', 'said 7']);
  expect(output.forced_ids).toEqual([]);
  expect(passes).toEqual([]);
});
