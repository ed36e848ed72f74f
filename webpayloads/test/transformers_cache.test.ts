import { Tensor, type PreTrainedModel } from '@huggingface/transformers';
import { expect, test, vi } from 'vitest';

import { Context } from '../src/worker/transformers_js/cache';

type Tensors = Record<string, Tensor>;
interface Call {
  ids: number[];
  attended: number;
  cached: number;
}

/** A model whose cache lies on a pretended GPU, and the calls that it got. */
function pretend(): { model: PreTrainedModel; calls: Call[]; dispose: ReturnType<typeof vi.fn> } {
  const calls: Call[] = [];
  const dispose = vi.fn();
  const forward = (inputs: Tensors & { past_key_values: Tensors }): Promise<Tensors> => {
    const { input_ids, attention_mask, past_key_values } = inputs;
    const cached = past_key_values['past_key_values.0.key']?.dims[2] ?? 0;
    const ids = Array.from(input_ids?.data as BigInt64Array, Number);
    calls.push({ ids, attended: attention_mask?.dims[1] ?? 0, cached });
    const present = new Tensor('float32', new Float32Array(cached + ids.length), [1, 1, cached + ids.length, 1]);
    Object.defineProperty(present, 'location', { value: 'gpu-buffer' });
    present.dispose = () => { dispose(present); };
    return Promise.resolve({ 'present.0.key': present, logits: new Tensor('float32', [0], [1, 1, 1]) });
  };
  return { model: { forward } as unknown as PreTrainedModel, calls, dispose };
}

function held(cache: object): Tensor | undefined {
  return (cache as unknown as Tensors)['past_key_values.0.key'];
}

const IDS = Array.from({ length: 600 }, (_, index) => index);

test('a context is read in chunks, each after what the cache has', async () => {
  const { model, calls } = pretend();
  const alive = vi.fn();
  const context = await Context.read(model, IDS, alive);
  expect(calls.map(({ attended, cached }) => [cached, attended])).toEqual([[0, 256], [256, 512], [512, 600]]);
  expect(calls.flatMap(({ ids }) => ids)).toEqual(IDS);
  expect(alive).toHaveBeenCalledTimes(3);
  expect(held(context.branch())?.dims[2]).toBe(600);
});

test('generations go on from the context and leave it as it is', async () => {
  const { model, dispose } = pretend();
  const context = await Context.read(model, IDS, () => undefined);
  // The two caches that the last one has replaced.
  expect(dispose).toHaveBeenCalledTimes(2);
  const [one, two] = [context.branch(), context.branch()];
  const outputs = (await model.forward({
    input_ids: new Tensor('int64', new BigInt64Array(1), [1, 1]),
    attention_mask: new Tensor('int64', new BigInt64Array(601), [1, 601]),
    past_key_values: one,
  })) as Tensors;
  const grown = outputs['present.0.key'];
  if (grown === undefined) throw new Error('no cache came');
  one.update({ 'past_key_values.0.key': grown });
  expect([held(one)?.dims[2], held(two)?.dims[2]]).toEqual([601, 600]);
  expect(dispose).toHaveBeenCalledTimes(2);
  await one.dispose();
  await two.dispose();
  expect(dispose).toHaveBeenCalledTimes(3);
  expect(dispose).toHaveBeenLastCalledWith(grown);
});
