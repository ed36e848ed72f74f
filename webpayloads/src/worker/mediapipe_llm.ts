/** MediaPipe LLM Inference (tasks-genai): WebGPU only. */
import './instruments';

import { FilesetResolver, LlmInference } from '@mediapipe/tasks-genai';

import type { PageSpec, TextGenerationWorkload, TextValidation, ValidationOutput } from '../contract';
import { maxTokensOf } from '../options';
import type { Sample } from '../messages';
import { fit } from '../prompt';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { serve } from './serve';

/** Room for the begin token and for the chunk in which the last wanted token comes. */
const SPARE_TOKENS = 16;

interface Chunk {
  at: number;
  text: string;
}

interface Generation {
  start: number;
  chunks: Chunk[];
}

class MediaPipeLlm implements RuntimeAdapter {
  #llm: LlmInference | null = null;
  #alive: () => void = () => undefined;
  #workload: TextGenerationWorkload | null = null;
  #prompt = '';
  #promptTokens = 0;
  /** How many come at once depends on the model's format. Until a generation has told, no chunk brings less. */
  #tokensPerChunk = 1;

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    this.#alive = () => { hooks.alive(); };
    const fileset = await FilesetResolver.forGenAiTasks(hooks.assets.replace(/\/$/, ''));
    const body = await hooks.files.stream(hooks.files.single.path);
    this.#llm = await LlmInference.createFromOptions(fileset, {
      baseOptions: { modelAssetBuffer: body.getReader() },
      maxTokens: maxTokensOf(spec) ?? tokenRoom(spec),
      // Greedy: of one candidate, temperature and seed choose nothing.
      topK: 1,
      temperature: 0.8,
      randomSeed: 1,
    });
    return { threads: null };
  }

  prepare(workload: Workload): Promise<void> {
    if (workload.task !== 'text-generation') throw new Error(`no such workload here: ${workload.task}`);
    this.#workload = workload;
    this.#prompt = fit(workload.prompt_tokens, (text) => this.#count(text));
    this.#promptTokens = this.#count(this.#prompt);
    return Promise.resolve();
  }

  async run(): Promise<Sample> {
    if (this.#workload === null) throw new Error('no workload has been prepared');
    const { start, chunks } = await this.#generate(this.#prompt, this.#workload.generated_tokens);
    const [first, last] = [chunks[0], chunks.at(-1)];
    if (first === undefined || last === undefined) throw new Error('the model generated no token');
    const tokens = this.#count(chunks.map((chunk) => chunk.text).join(''));
    this.#tokensPerChunk = Math.max(1, tokens / chunks.length);
    return {
      kind: 'generation',
      sample: {
        tokens_in: this.#promptTokens,
        tokens_out: tokens,
        first_chunk_tokens: this.#count(first.text),
        ttft_ms: first.at - start,
        decode_ms: last.at - first.at,
        source: 'clock',
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
    const { chunks } = await this.#generate(prompt, max_tokens);
    return chunks.map((chunk) => chunk.text).join('');
  }

  /** Generates until the model ends or the chunks for `tokens` have come; what comes after them is left out. */
  async #generate(prompt: string, tokens: number): Promise<Generation> {
    const llm = this.#loaded();
    const enough = Math.max(2, Math.ceil(tokens / this.#tokensPerChunk));
    const chunks: Chunk[] = [];
    const start = performance.now();
    await llm.generateResponse(prompt, (text, done) => {
      const at = performance.now();
      this.#alive();
      // The last call only says that it is over.
      if ((done && text === '') || chunks.length >= enough) return;
      chunks.push({ at, text });
      if (chunks.length >= enough) llm.cancelProcessing();
    });
    return { start, chunks };
  }

  #count(text: string): number {
    const count = this.#loaded().sizeInTokens(text);
    if (count === undefined) throw new Error('the runtime does not count tokens');
    return count;
  }

  #loaded(): LlmInference {
    if (this.#llm === null) throw new Error('no model has been loaded');
    return this.#llm;
  }
}

/** Tokens of the longest sequence that the spec needs, prompt and answer together. */
function tokenRoom({ workload, validation }: PageSpec): number {
  const measured = workload.task === 'text-generation' ? workload.prompt_tokens + workload.generated_tokens : 0;
  // No tokenizer makes more tokens of a text than it has bytes.
  const validated =
    validation?.check === 'text' ? new TextEncoder().encode(validation.prompt).length + validation.max_tokens : 0;
  return Math.max(measured, validated) + SPARE_TOKENS;
}

serve(new MediaPipeLlm());
