/** Text generation: timed with true token counts, and forced along a reference to see where it would have turned off. */
import {
  BaseStreamer,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  type Tensor,
} from '@huggingface/transformers';

import type { TextGenerationWorkload, TextValidation, ValidationOutput } from '../../contract';
import { PageFault } from '../../errors';
import type { Sample } from '../../messages';
import { words } from '../../prompt';
import { chunkTimes } from '../../statistics';
import { Context, newCache, presentOf } from './cache';
import { encode, encoded, floats, type Loaded } from './library';
import { argmax, countNonFinite } from './logits';

type Outputs = Record<string, Tensor> & { logits: Tensor };

/** The moments at which generated tokens came. */
class TokenClock extends BaseStreamer {
  readonly times: number[] = [];
  readonly #alive: () => void;
  #promptSeen = false;

  constructor(alive: () => void) {
    super();
    this.#alive = alive;
  }

  override put(value: bigint[][]): void {
    // The first call brings the prompt.
    if (!this.#promptSeen) {
      this.#promptSeen = true;
      return;
    }
    const now = performance.now();
    for (let count = value[0]?.length ?? 0; count > 0; count -= 1) this.times.push(now);
    this.#alive();
  }

  override end(): void {
    this.#alive();
  }
}

export class Generation {
  readonly #model: PreTrainedModel;
  readonly #tokenizer: PreTrainedTokenizer;
  readonly #alive: () => void;

  constructor({ model, tokenizer }: Loaded, alive: () => void) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#alive = alive;
  }

  async prepare(workload: TextGenerationWorkload): Promise<() => Promise<Sample>> {
    const { context_tokens, prompt_tokens, generated_tokens } = workload;
    const ids = this.#exactly(context_tokens + prompt_tokens);
    const length = { min_new_tokens: generated_tokens, max_new_tokens: generated_tokens };
    const context =
      context_tokens === 0 ? null : await Context.read(this.#model, ids.slice(0, context_tokens), this.#alive);
    return async () => {
      const cache = context?.branch() ?? null;
      // The library looks up how much of this the cache has already, and runs the rest.
      const inputs = { ...encoded(ids), ...(cache === null ? {} : { past_key_values: cache }) };
      const clock = new TokenClock(this.#alive);
      const start = performance.now();
      await this.#generate(inputs, { ...length, streamer: clock });
      const [first, last] = [clock.times[0], clock.times.at(-1)];
      await cache?.dispose();
      if (first === undefined || last === undefined) throw new Error('the model generated no token');
      const sample = {
        tokens_in: ids.length - context_tokens,
        tokens_out: clock.times.length,
        first_chunk_tokens: 1,
        ttft_ms: first - start,
        decode_ms: last - first,
        source: 'clock',
        chunk_ms: chunkTimes(start, clock.times),
      };
      return { kind: 'generation', sample };
    };
  }

  async validate(validation: TextValidation, chat: boolean): Promise<ValidationOutput> {
    const { prompt_ids, reference_ids, repeatable } = validation;
    const ids = prompt_ids ?? this.#promptOf(validation.prompt, chat);
    const forced =
      prompt_ids === null || reference_ids === null
        ? { ids: [], nonFinite: 0 }
        : await this.#force(prompt_ids, reference_ids);
    const answers = [await this.#answer(ids, validation.max_tokens)];
    if (repeatable) answers.push(await this.#answer(ids, validation.max_tokens));
    return {
      texts: answers.map(({ text }) => text),
      forced_ids: forced.ids,
      non_finite: answers.reduce((sum, { nonFinite }) => sum + nonFinite, forced.nonFinite),
    };
  }

  async #answer(ids: readonly number[], max_tokens: number): Promise<{ text: string; nonFinite: number }> {
    let nonFinite = 0;
    const watch = (_: unknown, logits: Tensor): Tensor => {
      // Other processors rule tokens out with −∞, which is no fault of the model's.
      nonFinite += countNonFinite((logits.data as Float32Array).filter((value) => value !== -Infinity));
      return logits;
    };
    const options = { max_new_tokens: max_tokens, streamer: new TokenClock(this.#alive), logits_processor: [watch] };
    const output = await this.#generate(encoded(ids), options);
    const answer = output.slice(null, [ids.length, output.dims[1] ?? 0]);
    const [text = ''] = this.#tokenizer.batch_decode(answer, { skip_special_tokens: true });
    return { text, nonFinite };
  }

  /** The model's own choice at each reference token, given all of the reference before it. */
  async #force(prompt: readonly number[], reference: readonly number[]): Promise<{ ids: number[]; nonFinite: number }> {
    const all = [...prompt, ...reference.slice(0, -1)];
    const ids: number[] = [];
    let nonFinite = 0;
    const choose = (logits: Tensor, from: number): void => {
      const values = floats(logits);
      const width = logits.dims[2] ?? 0;
      for (let row = from; row < (logits.dims[1] ?? 0); row += 1) {
        const scores = values.subarray(row * width, (row + 1) * width);
        nonFinite += countNonFinite(scores);
        ids.push(argmax(scores));
      }
    };
    const whole = newCache();
    const { logits } = await this.#forward(all, 0, whole);
    await whole.dispose();
    if (logits.dims[1] === all.length) {
      choose(logits, prompt.length - 1);
      return { ids, nonFinite };
    }
    // This export says only what follows the last token: one by one, then.
    const cache = newCache();
    for (let end = prompt.length; end <= all.length; end += 1) {
      const output = await this.#forward(all.slice(0, end), end === prompt.length ? 0 : end - 1, cache);
      choose(output.logits, 0);
    }
    await cache.dispose();
    return { ids, nonFinite };
  }

  /** One pass over the tokens that the cache does not have, which is those from `start`; the cache has them then. */
  async #forward(ids: readonly number[], start: number, cache: ReturnType<typeof newCache>): Promise<Outputs> {
    const outputs = (await this.#model.forward({
      input_ids: encoded(ids.slice(start)).input_ids,
      attention_mask: encoded(ids).attention_mask,
      past_key_values: cache,
    })) as Outputs;
    cache.update(presentOf(outputs));
    this.#alive();
    return outputs;
  }

  /** Greedy; answers prompt and generated tokens of the one sequence. */
  async #generate(inputs: object, options: object): Promise<Tensor> {
    return (await this.#model.generate({ ...inputs, do_sample: false, ...options })) as Tensor;
  }

  /** As many tokens as asked for: those of a longer text, cut. */
  #exactly(count: number): number[] {
    const ids = idsOf(encode(this.#tokenizer, words(count + 1)).input_ids).slice(0, count);
    if (ids.length !== count) throw new PageFault(`the tokenizer made ${ids.length} of ${count} prompt tokens`);
    return ids;
  }

  #promptOf(prompt: string, chat: boolean): number[] {
    if (!chat) return idsOf(encode(this.#tokenizer, prompt).input_ids);
    const options = { add_generation_prompt: true, return_dict: true } as const;
    const message = { role: 'user', content: prompt };
    return idsOf((this.#tokenizer.apply_chat_template([message], options) as unknown as { input_ids: Tensor }).input_ids);
  }
}

function idsOf(tensor: Tensor): number[] {
  return Array.from(tensor.data as BigInt64Array, Number);
}
