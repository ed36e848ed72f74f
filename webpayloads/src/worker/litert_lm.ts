/** LiteRT-LM, MediaPipe LLM Inference's successor: CPU (WASM) and WebGPU. */
import './instruments';

import { Backend, Engine, loadLiteRtLm, SamplerType, type Conversation, type SessionConfig } from '@litert-lm/core';

import type { PageSpec, TextGenerationWorkload, TextValidation, ValidationOutput } from '../contract';
import { maxTokensOf } from '../options';
import type { Sample } from '../messages';
import { fillByAsking } from '../prompt';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { serve } from './serve';

interface Answer {
  text: string;
  tokensIn: number;
  tokensOut: number;
  ttftMs: number;
  decodeMs: number;
}

class LiteRtLm implements RuntimeAdapter {
  #engine: Engine | null = null;
  #alive: () => void = () => undefined;
  #workload: TextGenerationWorkload | null = null;
  #context = '';
  #prompt = '';

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    this.#alive = () => { hooks.alive(); };
    const maxTokens = maxTokensOf(spec);
    await loadLiteRtLm(hooks.assets);
    this.#engine = await Engine.create({
      model: await hooks.files.stream(hooks.files.single.path),
      backend: spec.backend === 'wasm' ? Backend.CPU : Backend.GPU_ARTISAN,
      benchmarkEnabled: true,
      ...(maxTokens === null ? {} : { mainExecutorSettings: { maxNumTokens: maxTokens } }),
    });
    return { threads: null };
  }

  /** The runtime counts tokens of what it has run, and only then. The chat template is part of the prompt. */
  async prepare(workload: Workload): Promise<void> {
    if (workload.task !== 'text-generation') throw new Error(`no such workload here: ${workload.task}`);
    this.#workload = workload;
    const ask = async (text: string): Promise<number> => (await this.#ask(text, 1)).tokensIn;
    const { context_tokens, prompt_tokens, generated_tokens } = workload;
    // The context is a first turn, its answer included, which is as long as all others of this session.
    if (context_tokens > 0) this.#context = await fillByAsking(context_tokens - generated_tokens, ask);
    this.#prompt = await fillByAsking(prompt_tokens, ask);
  }

  async run(): Promise<Sample> {
    if (this.#workload === null) throw new Error('no workload has been prepared');
    const answer = await this.#ask(this.#prompt, this.#workload.generated_tokens, this.#context);
    return {
      kind: 'generation',
      sample: {
        tokens_in: answer.tokensIn,
        tokens_out: answer.tokensOut,
        // The runtime's decode time covers every token it generated.
        first_chunk_tokens: 0,
        ttft_ms: answer.ttftMs,
        decode_ms: answer.decodeMs,
        source: 'runtime',
        chunk_ms: [],
      },
    };
  }

  async validate(validation: Validation): Promise<ValidationOutput> {
    if (validation.check !== 'text') throw new Error(`no such validation here: ${validation.check}`);
    const { prompt, max_tokens, repeatable }: TextValidation = validation;
    const texts = [(await this.#ask(prompt, max_tokens)).text];
    if (repeatable) texts.push((await this.#ask(prompt, max_tokens)).text);
    return { texts };
  }

  async dispose(): Promise<void> {
    await this.#engine?.delete();
  }

  /** One question in a conversation of its own, as its second turn where there is a `context`. */
  async #ask(prompt: string, maxOutputTokens: number, context = ''): Promise<Answer> {
    if (this.#engine === null) throw new Error('no model has been loaded');
    const sessionConfig: SessionConfig = {
      maxOutputTokens,
      // Greedy, in the one sampler that every backend has: of one candidate, the rest chooses nothing.
      samplerParams: { type: SamplerType.TOP_P, k: 1, p: 1, temperature: 1, seed: 1 },
    };
    const conversation = await this.#engine.createConversation({ sessionConfig });
    try {
      if (context !== '') await this.#stream(conversation, context);
      return await this.#stream(conversation, prompt);
    } finally {
      await conversation.delete();
    }
  }

  async #stream(conversation: Conversation, prompt: string): Promise<Answer> {
    let text = '';
    const reader = conversation.sendMessageStreaming(prompt).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      this.#alive();
      text += textOf(part.value);
    }
    // On CPU the thread is blocked until all chunks come at once: only the runtime's own counters can tell.
    const info = await conversation.getBenchmarkInfo();
    return {
      text,
      tokensIn: info.lastPrefillTokenCount,
      tokensOut: info.lastDecodeTokenCount,
      ttftMs: info.timeToFirstTokenInSecond * 1000,
      decodeMs:
        info.lastDecodeTokensPerSecond > 0 ? (info.lastDecodeTokenCount * 1000) / info.lastDecodeTokensPerSecond : 0,
    };
  }
}

/** The text of a message, which is a string or a list of parts. */
function textOf(message: unknown): string {
  const { content } = message as { content?: unknown };
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: unknown) => (part as { text?: string }).text ?? '').join('');
}

serve(new LiteRtLm());
