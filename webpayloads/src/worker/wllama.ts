/** wllama: llama.cpp on WASM or WebGPU, which takes GGUF files as they are. */
import { adopt, observe, observeForParent } from './instruments';

import { LoggerWithoutDebug, LogLevel, Wllama } from '@wllama/wllama/esm/index.js';

import type { PageSpec, TextGenerationWorkload, TextValidation, ValidationOutput } from '../contract';
import { PageFault } from '../errors';
import { maxTokensOf } from '../options';
import type { Sample } from '../messages';
import { words } from '../prompt';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { chunkTimes } from '../statistics';
import type { ModelFiles } from './model_files';
import { serve } from './serve';

const LEAST_CONTEXT = 1_024;
/** Room for the chat template's words and for the token that llama.cpp keeps free. */
const SPARE_TOKENS = 64;
const BLOB_BYTES = 8 * 2 ** 20;
/** A word that every tokenizer has as one token. */
const FILLER = ' a';

/** What this file is told when it runs as the worker that wllama puts the model into. */
interface ModelWorker {
  assets: string;
  threads: number;
  webgpu: boolean;
}

/** What llama.cpp's server says, of a chat or of a plain completion; the library's types leave some of it out. */
interface Chunk {
  choices: {
    text?: string;
    delta?: { content?: string | null };
    finish_reason: string | null;
    logprobs?: { content: { id: number; top_logprobs: { id: number }[] }[] | null } | null;
  }[];
  usage?: { prompt_tokens: number };
  timings?: { cache_n: number; prompt_n: number; predicted_n: number };
}

interface Piece {
  at: number;
  text: string;
  /** How many tokens have been generated with it. */
  tokens: number;
}

interface Completion {
  pieces: Piece[];
  /** Of the prompt, as many as were found in the KV cache. */
  cachedTokens: number;
  promptTokens: number;
}

class WllamaAdapter implements RuntimeAdapter {
  #wllama: Wllama | null = null;
  #alive: () => void = () => undefined;
  #workload: TextGenerationWorkload | null = null;
  /** Exactly `context_tokens` long; what it leaves in the KV cache is not measured. */
  #context = '';
  /** The context and `prompt_tokens` more. */
  #prompt = '';

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    this.#alive = () => { hooks.alive(); };
    const wllama = new Wllama({ default: `${hooks.assets}wllama.wasm` }, { logger: LoggerWithoutDebug });
    // Its build for browsers without JSPI lies on a CDN.
    wllama.setCompat(null);
    const threads = self.crossOriginIsolated ? threadsOf(spec) : 1;
    const webgpu = spec.backend === 'webgpu';
    if (webgpu) await requireHalfFloats();
    const blobs = [];
    for (const { path } of spec.files) blobs.push(await readBlob(hooks.files, path));
    const plain = self.Worker;
    self.Worker = modelWorker(plain, { assets: hooks.assets, threads, webgpu });
    try {
      await wllama.loadModel(blobs, {
        n_ctx: maxTokensOf(spec) ?? contextOf(spec),
        n_threads: threads,
        n_parallel: 1,
        log_level: LogLevel.WARN,
        ...(webgpu ? {} : { n_gpu_layers: 0 }),
      });
    } finally {
      self.Worker = plain;
    }
    // llama.cpp goes on without a GPU that it cannot use, and says so to nobody.
    if (webgpu && spec.instruments && (observe().gpu_memory?.buffers ?? 0) === 0) {
      throw new Error('llama.cpp has loaded the model into no WebGPU buffer');
    }
    this.#wllama = wllama;
    return { threads: wllama.getNumThreads() };
  }

  async prepare(workload: Workload): Promise<void> {
    if (workload.task !== 'text-generation') throw new PageFault(`no such workload here: ${workload.task}`);
    this.#workload = workload;
    const { context_tokens, prompt_tokens } = workload;
    this.#context = context_tokens > 0 ? await this.#extend('', context_tokens) : '';
    this.#prompt = await this.#extend(this.#context, context_tokens + prompt_tokens);
  }

  async run(): Promise<Sample> {
    if (this.#workload === null) throw new Error('no workload has been prepared');
    const { context_tokens, generated_tokens } = this.#workload;
    // What the last repetition added is forgotten.
    if (context_tokens > 0) await this.#read(this.#context);
    const start = performance.now();
    const { pieces, promptTokens, cachedTokens } = await this.#stream({
      prompt: this.#prompt,
      max_tokens: generated_tokens,
      ignore_eos: true,
      cache_prompt: context_tokens > 0,
    });
    const [first, last] = [pieces[0], pieces.at(-1)];
    if (first === undefined || last === undefined) throw new Error('the model generated no token');
    if (cachedTokens !== context_tokens) {
      throw new Error(`${cachedTokens} tokens were in the KV cache, not ${context_tokens}`);
    }
    return {
      kind: 'generation',
      sample: {
        tokens_in: promptTokens - cachedTokens,
        tokens_out: last.tokens,
        first_chunk_tokens: first.tokens,
        ttft_ms: first.at - start,
        decode_ms: last.at - first.at,
        source: 'clock',
        chunk_ms: chunkTimes(
          start,
          pieces.map((piece) => piece.at),
        ),
      },
    };
  }

  async validate(validation: Validation): Promise<ValidationOutput> {
    if (validation.check !== 'text') throw new PageFault(`no such validation here: ${validation.check}`);
    const texts = [await this.#answer(validation)];
    if (validation.repeatable) texts.push(await this.#answer(validation));
    const { prompt_ids, reference_ids } = validation;
    if (prompt_ids === null || reference_ids === null) return { texts };
    return { texts, forced_ids: await this.#force(validation, prompt_ids.length, reference_ids) };
  }

  async dispose(): Promise<void> {
    await this.#wllama?.exit();
  }

  async #answer(validation: TextValidation): Promise<string> {
    const { pieces } = await this.#stream({ ...this.#question(validation), max_tokens: validation.max_tokens });
    return pieces.map((piece) => piece.text).join('');
  }

  /** What the model would have said in place of each reference token, given all those before it. */
  async #force(validation: TextValidation, promptTokens: number, reference: number[]): Promise<number[]> {
    // A grammar of these very tokens; where it ends, only the end of the text is left to be said.
    const said = reference.filter((id) => !this.#loaded.isTokenEOG(id));
    const { choices, usage } = await this.#complete({
      ...this.#question(validation),
      max_tokens: reference.length,
      grammar: `root ::= ${said.map((id) => `<[${id}]>`).join(' ')}`,
      // Of the logits as the model gave them, before the grammar.
      n_probs: 1,
    });
    if (usage?.prompt_tokens !== promptTokens) {
      throw new Error(`wllama makes ${usage?.prompt_tokens ?? 'no'} tokens of the prompt, the reference ${promptTokens}`);
    }
    return (choices[0]?.logprobs?.content ?? []).map((one) => one.top_logprobs[0]?.id ?? one.id);
  }

  /** A chat where the model's file has a template for it. */
  #question({ prompt }: TextValidation): object {
    return this.#loaded.getChatTemplate() === null ? { prompt } : { messages: [{ role: 'user', content: prompt }] };
  }

  /** The text, longer by as many words as make it `target` tokens. The library has no tokenizer: it is made to read. */
  async #extend(text: string, target: number): Promise<string> {
    // No word is less than a token.
    let count = target;
    const lengthen = (): string => [text, words(count)].filter((part) => part !== '').join(' ');
    let longer = lengthen();
    let tokens = await this.#read(longer);
    while (tokens > target) {
      count -= Math.max(1, Math.floor(((tokens - target) * count) / tokens));
      longer = lengthen();
      tokens = await this.#read(longer);
    }
    longer += FILLER.repeat(target - tokens);
    tokens = await this.#read(longer);
    if (tokens !== target) throw new PageFault(`asked for ${target} tokens, the tokenizer made ${tokens}`);
    return longer;
  }

  /** Leaves the text, and nothing else, in the KV cache; answers how many tokens it is. */
  async #read(prompt: string): Promise<number> {
    return (await this.#stream({ prompt, max_tokens: 0, cache_prompt: true })).promptTokens;
  }

  /** Greedy, piece by piece. */
  async #stream(question: object): Promise<Completion> {
    const pieces: Piece[] = [];
    let tail: Chunk = { choices: [] };
    const onData = (chunk: Chunk): void => {
      const at = performance.now();
      this.#alive();
      tail = chunk;
      const [choice] = chunk.choices;
      const text = choice?.text ?? choice?.delta?.content ?? '';
      const tokens = chunk.timings?.predicted_n ?? 0;
      // Neither the chat's opening nor the summary at its end is a piece.
      if (choice?.finish_reason === null && tokens > 0) pieces.push({ at, text, tokens });
    };
    await this.#complete({ stream: true, timings_per_token: true, onData, ...question });
    if (tail.timings === undefined) throw new Error('the runtime told no token counts');
    const { cache_n, prompt_n } = tail.timings;
    return { pieces, cachedTokens: cache_n, promptTokens: cache_n + prompt_n };
  }

  /** Greedy; answers the last of what the runtime says. */
  async #complete(question: object): Promise<Chunk> {
    const options = { temperature: 0, cache_prompt: false, ...question } as never;
    const answer: unknown =
      'messages' in question
        ? await this.#loaded.createChatCompletion(options)
        : await this.#loaded.createCompletion(options);
    return answer as Chunk;
  }

  get #loaded(): Wllama {
    if (this.#wllama === null) throw new Error('no model has been loaded');
    return this.#wllama;
  }
}

/** llama.cpp asks for a device with them, and for no other. @throws Error before anything is downloaded */
async function requireHalfFloats(): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter?.features.has('shader-f16') === false) {
    throw new Error('llama.cpp on WebGPU requires shader-f16, but the device does not support it');
  }
}

/** The library's default, half of the cores, unless the variant says otherwise. */
function threadsOf({ options }: PageSpec): number {
  const threads = options.threads ?? Math.max(1, Math.floor(navigator.hardwareConcurrency / 2));
  if (typeof threads !== 'number' || !Number.isInteger(threads) || threads < 1) {
    throw new PageFault(`options.threads is ${JSON.stringify(threads)}; allowed is a positive whole number`);
  }
  return threads;
}

function contextOf({ workload, validation }: PageSpec): number {
  const workloadTokens =
    workload.task === 'text-generation'
      ? workload.context_tokens + workload.prompt_tokens + workload.generated_tokens
      : 0;
  // No token is less than a character.
  const validationTokens = validation?.check === 'text' ? validation.prompt.length + validation.max_tokens : 0;
  return Math.max(LEAST_CONTEXT, Math.max(workloadTokens, validationTokens) + SPARE_TOKENS);
}

/** A blob of blobs: what has arrived is the browser's to keep, in memory or on disk, and not this worker's. */
async function readBlob(files: ModelFiles, path: string): Promise<File> {
  const blobs: Blob[] = [];
  let chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = (await files.stream(path)).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    bytes += part.value.byteLength;
    if (bytes < BLOB_BYTES) continue;
    blobs.push(new Blob(chunks));
    [chunks, bytes] = [[], 0];
  }
  return new File([...blobs, ...chunks], path);
}

/**
 * What wllama takes for `Worker` while it loads a model. It writes its worker's script, and that of its threads, into
 * blobs, which the pages' policy does not let run: this file and the library's own scripts beside it do the same.
 */
function modelWorker(plain: typeof Worker, part: ModelWorker): typeof Worker {
  return class extends plain {
    constructor() {
      super(self.location.href, { name: JSON.stringify(part) });
      adopt(this);
    }

    override postMessage(message: { verb?: string; args?: unknown[] }, options?: unknown): void {
      if (message.verb === 'module.init') message.args?.splice(0, 1, `${part.assets}wllama.js`);
      super.postMessage(message, options as StructuredSerializeOptions);
    }
  };
}

/** The worker's other life: wllama's own worker code, which finds these names where its blob would declare them. */
function runModel({ assets, threads, webgpu }: ModelWorker): void {
  observeForParent();
  const scope = self as unknown as { importScripts(url: string): void; Module: object };
  Object.assign(scope, {
    RUN_OPTIONS: {
      pathConfig: { 'wllama.wasm': `${assets}wllama.wasm` },
      nbThread: threads > 1 ? threads : 0,
      compat: false,
    },
    wModuleInit: () => {
      scope.importScripts(`${assets}wllama.js`);
      return scope.Module;
    },
  });
  if (!webgpu) {
    // What the library does where no layer goes to the GPU: else it would ask for an adapter all the same.
    Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: () => Promise.resolve(null) } });
  }
  scope.importScripts(`${assets}llama-cpp.js`);
}

if (self.name.startsWith('{')) runModel(JSON.parse(self.name) as ModelWorker);
else serve(new WllamaAdapter());
