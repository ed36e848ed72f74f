/** Transformers.js: ONNX Runtime Web on WASM or WebGPU. */
import './instruments';

import {
  BaseStreamer,
  env,
  mean_pooling,
  pipeline,
  Tensor,
  type DataType,
  type PreTrainedModel,
  type PreTrainedTokenizer,
} from '@huggingface/transformers';

import type { PageSpec, TextValidation, ValidationOutput } from '../contract';
import { PageFault } from '../errors';
import { choiceOf } from '../options';
import type { Sample } from '../messages';
import { words } from '../prompt';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { serve } from './serve';

const DTYPES = ['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4', 'bnb4', 'q4f16'] as const satisfies DataType[];
const WASM_BUILD = 'ort-wasm-simd-threaded.asyncify';

interface Encoded {
  input_ids: Tensor;
  attention_mask: Tensor;
}
type Encode = (text: string | string[], options?: object) => Encoded;
type Forward = (inputs: Encoded) => Promise<{ last_hidden_state?: Tensor; token_embeddings?: Tensor }>;

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

class TransformersJs implements RuntimeAdapter {
  #model: PreTrainedModel | null = null;
  #tokenizer: PreTrainedTokenizer | null = null;
  #close: () => Promise<unknown> = () => Promise.resolve();
  #alive: () => void = () => undefined;
  #repeat: (() => Promise<Sample>) | null = null;

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    this.#alive = () => { hooks.alive(); };
    const dtype = choiceOf(spec, 'dtype', DTYPES, 'fp32');
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.useBrowserCache = false;
    env.useWasmCache = false;
    // A path and not an address: the library looks for no optional file, and no tokenizer, behind an address.
    env.localModelPath = new URL('..', hooks.files.root).pathname;
    env.fetch = hooks.files.fetch;
    const wasm = env.backends.onnx.wasm;
    if (wasm === undefined) throw new Error('onnxruntime-web has no WASM settings');
    wasm.wasmPaths = { mjs: `${hooks.assets}${WASM_BUILD}.mjs`, wasm: `${hooks.assets}${WASM_BUILD}.wasm` };
    const loaded = await pipeline(spec.task as 'feature-extraction', 'model', {
      device: spec.backend,
      dtype,
      // With a listener, files are read into one buffer of their size instead of being put together from chunks.
      progress_callback: () => undefined,
    });
    this.#model = loaded.model;
    this.#tokenizer = loaded.tokenizer;
    this.#close = () => loaded.dispose();
    return { threads: wasm.numThreads ?? null };
  }

  prepare(workload: Workload): Promise<void> {
    if (workload.task === 'text-generation') {
      const prompt = this.#exactPrompt(workload.prompt_tokens);
      const length = { min_new_tokens: workload.generated_tokens, max_new_tokens: workload.generated_tokens };
      this.#repeat = async () => {
        const clock = new TokenClock(this.#alive);
        const start = performance.now();
        await this.#generate(prompt, { ...length, streamer: clock });
        const [first, last] = [clock.times[0], clock.times.at(-1)];
        if (first === undefined || last === undefined) throw new Error('the model generated no token');
        return {
          kind: 'generation',
          sample: {
            tokens_in: workload.prompt_tokens,
            tokens_out: clock.times.length,
            first_chunk_tokens: 1,
            ttft_ms: first - start,
            decode_ms: last - first,
            source: 'clock',
          },
        };
      };
    } else if (workload.task === 'feature-extraction') {
      const { batch, length } = workload;
      const texts = Array.from({ length: batch }, () => words(length));
      this.#repeat = async () => {
        const start = performance.now();
        await this.#embed(texts, length);
        return { kind: 'inference', sample: { latency_ms: performance.now() - start, batch } };
      };
    } else {
      throw new PageFault(`no such workload here: ${workload.task}`);
    }
    return Promise.resolve();
  }

  async run(): Promise<Sample> {
    if (this.#repeat === null) throw new Error('no workload has been prepared');
    return this.#repeat();
  }

  async validate(validation: Validation): Promise<ValidationOutput> {
    if (validation.check === 'embedding') {
      const vectors: (number | null)[][] = [];
      // One by one: padding beside a longer text must not be able to change a result.
      for (const text of validation.texts) {
        const [vector = []] = await this.#embed([text]);
        vectors.push(vector.map((value) => (Number.isFinite(value) ? value : null)));
      }
      return { vectors };
    }
    if (validation.check !== 'text') throw new PageFault(`no such validation here: ${validation.check}`);
    const texts = [await this.#answer(validation)];
    if (validation.repeatable) texts.push(await this.#answer(validation));
    return { texts };
  }

  async dispose(): Promise<void> {
    await this.#close();
  }

  async #answer({ prompt, max_tokens }: TextValidation): Promise<string> {
    const tokenizer = this.#loadedTokenizer();
    const inputs = tokenizer.chat_template
      ? (tokenizer.apply_chat_template([{ role: 'user', content: prompt }], {
          add_generation_prompt: true,
          return_dict: true,
        }) as unknown as Encoded)
      : this.#encode(prompt);
    const clock = new TokenClock(this.#alive);
    const output = await this.#generate(inputs, { max_new_tokens: max_tokens, streamer: clock });
    const answer = output.slice(null, [inputs.input_ids.dims[1] ?? 0, output.dims[1] ?? 0]);
    return tokenizer.batch_decode(answer, { skip_special_tokens: true })[0] ?? '';
  }

  /** Greedy; answers prompt and generated tokens of the one sequence. */
  async #generate(inputs: Encoded, options: object): Promise<Tensor> {
    if (this.#model === null) throw new Error('no model has been loaded');
    return (await this.#model.generate({ ...inputs, do_sample: false, ...options })) as Tensor;
  }

  /** Mean-pooled, normalized; cut to `length` tokens, special ones included. */
  async #embed(texts: string[], length?: number): Promise<number[][]> {
    const forward = this.#model as unknown as Forward;
    const inputs = this.#encode(texts, {
      padding: true,
      truncation: true,
      ...(length === undefined ? {} : { max_length: length }),
    });
    if (length !== undefined && inputs.input_ids.dims[1] !== length) {
      throw new PageFault(`asked for ${length} tokens, the tokenizer made ${inputs.input_ids.dims[1] ?? 0}`);
    }
    const { last_hidden_state, token_embeddings } = await forward(inputs);
    const hidden = last_hidden_state ?? token_embeddings;
    if (hidden === undefined) throw new Error('the model has no last_hidden_state');
    return mean_pooling(hidden, inputs.attention_mask).normalize(2, -1).tolist() as number[][];
  }

  /** A prompt of exactly `count` tokens: a longer one, cut. */
  #exactPrompt(count: number): Encoded {
    const data: unknown = this.#encode(words(count + 1)).input_ids.data;
    const ids = (data as BigInt64Array).slice(0, count);
    if (ids.length !== count) throw new PageFault(`the tokenizer made ${ids.length} of ${count} prompt tokens`);
    const dims = [1, count];
    return {
      input_ids: new Tensor('int64', ids, dims),
      attention_mask: new Tensor('int64', new BigInt64Array(count).fill(1n), dims),
    };
  }

  #encode(text: string | string[], options: object = {}): Encoded {
    return (this.#loadedTokenizer() as unknown as Encode)(text, options);
  }

  #loadedTokenizer(): PreTrainedTokenizer {
    if (this.#tokenizer === null) throw new Error('no tokenizer has been loaded');
    return this.#tokenizer;
  }
}

serve(new TransformersJs());
