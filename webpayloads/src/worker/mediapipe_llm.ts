/** MediaPipe LLM Inference (tasks-genai): WebGPU only. */
import './instruments';

import { FilesetResolver, LlmInference, type LoraModel } from '@mediapipe/tasks-genai';

import type { PageSpec, TextGenerationWorkload, TextValidation, ValidationOutput } from '../contract';
import { PageFault } from '../errors';
import { maxTokensOf } from '../options';
import type { Sample } from '../messages';
import { fill } from '../prompt';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { chunkTimes } from '../statistics';
import { modelOf, type Model } from './mediapipe_files';
import { serve } from './serve';

/** Room for the begin token and for the chunk in which the last wanted token comes. */
const SPARE_TOKENS = 16;

/** The library's graph decodes this many tokens before it says something; a `.task`'s engine says each one. */
const TOKENS_PER_CHUNK = 3;

/** Begins as no prompt does. */
const SOMETHING_ELSE = '1';

interface Chunk {
  at: number;
  text: string;
}

interface Generation {
  start: number;
  chunks: Chunk[];
  /** The model ended before all wanted tokens were there. */
  ended: boolean;
}

class MediaPipeLlm implements RuntimeAdapter {
  #llm: LlmInference | null = null;
  #model: Model | null = null;
  #lora: LoraModel | null = null;
  #alive: () => void = () => undefined;
  #workload: TextGenerationWorkload | null = null;
  #context = '';
  #prompt = '';
  #promptTokens = 0;
  /** What the runtime still keeps the attention of. */
  #kept = '';

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    this.#alive = () => { hooks.alive(); };
    const model = modelOf(spec);
    this.#model = model;
    if (model.converted && contextOf(spec) > 0) {
      throw new PageFault('context_tokens: MediaPipe LLM Inference keeps nothing from one prompt of a .task to the next');
    }
    const fileset = await FilesetResolver.forGenAiTasks(hooks.assets.replace(/\/$/, ''));
    const { adapter } = model;
    // First, so that the model's last bytes are the last of all: there the download ends.
    const adapterFile = adapter === null ? null : await new Response(await hooks.files.stream(adapter.path)).blob();
    const body = await hooks.files.stream(model.path);
    this.#llm = await LlmInference.createFromOptions(fileset, {
      baseOptions: { modelAssetBuffer: body.getReader() },
      maxTokens: maxTokens(spec),
      // Greedy: of one candidate, temperature and seed choose nothing.
      topK: 1,
      temperature: 0.8,
      randomSeed: 1,
      ...(adapter === null ? {} : { loraRanks: [adapter.rank] }),
    });
    if (adapterFile !== null) this.#lora = await this.#llm.loadLoraModel(adapterFile);
    return { threads: null };
  }

  prepare(workload: Workload): Promise<void> {
    if (workload.task !== 'text-generation') throw new Error(`no such workload here: ${workload.task}`);
    this.#workload = workload;
    const { context_tokens, prompt_tokens } = workload;
    this.#context = context_tokens > 0 ? `${fill(context_tokens, (text) => this.#count(text))} ` : '';
    const before = this.#count(this.#context);
    this.#prompt = fill(prompt_tokens, (text) => this.#count(this.#context + text) - before);
    this.#promptTokens = this.#count(this.#context + this.#prompt) - before;
    return Promise.resolve();
  }

  async run(): Promise<Sample> {
    if (this.#workload === null) throw new Error('no workload has been prepared');
    await this.#forget(this.#context);
    const { start, chunks, ended } = await this.#generate(
      this.#context + this.#prompt,
      this.#workload.generated_tokens,
    );
    const [first, last] = [chunks[0], chunks.at(-1)];
    if (first === undefined || last === undefined) throw new Error('the model generated no token');
    const full = this.#tokensPerChunk;
    // The chunk in which the model ends may bring fewer than the others.
    const brought = (chunk: Chunk): number =>
      ended && chunk === last ? Math.min(full, Math.max(1, this.#count(chunk.text))) : full;
    return {
      kind: 'generation',
      sample: {
        tokens_in: this.#promptTokens,
        tokens_out: (chunks.length - 1) * full + brought(last),
        first_chunk_tokens: brought(first),
        ttft_ms: first.at - start,
        decode_ms: last.at - first.at,
        source: 'clock',
        chunk_ms: chunkTimes(
          start,
          chunks.map((chunk) => chunk.at),
        ),
      },
    };
  }

  async validate(validation: Validation): Promise<ValidationOutput> {
    if (validation.check !== 'text') throw new Error(`no such validation here: ${validation.check}`);
    const texts = [await this.#answer(validation)];
    if (validation.repeatable) texts.push(await this.#answer(validation));
    return { texts };
  }

  dispose(): Promise<void> {
    this.#llm?.close();
    return Promise.resolve();
  }

  async #answer({ prompt, max_tokens }: TextValidation): Promise<string> {
    await this.#forget('');
    const { chunks } = await this.#generate(prompt, max_tokens);
    return chunks.map((chunk) => chunk.text).join('');
  }

  /**
   * The runtime keeps the attention of the last prompt, and of the next one only computes what is new in it: without
   * this, every repetition but the first would measure a prompt of one token. Afterwards it keeps `context` alone.
   */
  async #forget(context: string): Promise<void> {
    if (this.#model?.converted === true) return;
    if (this.#kept !== '') await this.#generate(SOMETHING_ELSE, 1);
    if (context !== '') await this.#generate(context, 1);
  }

  /** Generates until the model ends or the chunks for `tokens` have come; what comes after them is left out. */
  async #generate(prompt: string, tokens: number): Promise<Generation> {
    const llm = this.#loaded();
    const enough = Math.ceil(tokens / this.#tokensPerChunk);
    const chunks: Chunk[] = [];
    const listen = (text: string, done: boolean): void => {
      const at = performance.now();
      this.#alive();
      // The last call only says that it is over.
      if ((done && text === '') || chunks.length >= enough) return;
      chunks.push({ at, text });
      if (chunks.length >= enough) llm.cancelProcessing();
    };
    this.#kept = prompt;
    const start = performance.now();
    await (this.#lora === null
      ? llm.generateResponse(prompt, listen)
      : llm.generateResponse(prompt, this.#lora, listen));
    return { start, chunks, ended: chunks.length < enough };
  }

  get #tokensPerChunk(): number {
    return this.#model?.converted === true ? 1 : TOKENS_PER_CHUNK;
  }

  #count(text: string): number {
    if (text === '') return 0;
    const count = this.#loaded().sizeInTokens(text);
    if (count === undefined) throw new Error('the runtime does not count tokens');
    return count;
  }

  #loaded(): LlmInference {
    if (this.#llm === null) throw new Error('no model has been loaded');
    return this.#llm;
  }
}

function contextOf({ workload }: PageSpec): number {
  return workload.task === 'text-generation' ? workload.context_tokens : 0;
}

/** Tokens of the longest sequence, prompt and answer together. @throws PageFault where the variant has less room. */
function maxTokens(spec: PageSpec): number {
  const { workload, validation } = spec;
  const measured =
    workload.task === 'text-generation'
      ? workload.context_tokens + workload.prompt_tokens + workload.generated_tokens + SPARE_TOKENS
      : 0;
  const most = maxTokensOf(spec);
  if (most !== null && measured > most) {
    throw new PageFault(`the workload needs ${measured} tokens; options.max_tokens of this variant is ${most}`);
  }
  // No tokenizer makes more tokens of a text than it has bytes.
  const validated =
    validation?.check === 'text' ? new TextEncoder().encode(validation.prompt).length + validation.max_tokens : 0;
  return most ?? Math.max(measured, validated + SPARE_TOKENS);
}

serve(new MediaPipeLlm());
