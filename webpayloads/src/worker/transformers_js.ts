/** Transformers.js: ONNX Runtime Web on WASM or WebGPU. */
import './instruments';

import type { PageSpec, ValidationOutput } from '../contract';
import { PageFault } from '../errors';
import type { Sample } from '../messages';
import { flagOf } from '../options';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { serve } from './serve';
import { Encoding } from './transformers_js/encoding';
import { Generation } from './transformers_js/generation';
import { load, type Loaded } from './transformers_js/library';

class TransformersJs implements RuntimeAdapter {
  #loaded: Loaded | null = null;
  #task: Generation | Encoding | null = null;
  #chat = true;
  #repeat: (() => Promise<Sample>) | null = null;

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    this.#chat = flagOf(spec, 'chat', true);
    const { task } = spec;
    if (task === 'probe') throw new PageFault('a probe runs without a model');
    this.#loaded = await load(spec, this.#chat, hooks);
    this.#task =
      task === 'text-generation'
        ? new Generation(this.#loaded, () => { hooks.alive(); })
        : new Encoding(this.#loaded, task);
    return { threads: this.#loaded.threads };
  }

  async prepare(workload: Workload): Promise<void> {
    if (workload.task === 'text-generation' && this.#task instanceof Generation) {
      this.#repeat = await this.#task.prepare(workload);
    } else if (workload.task !== 'text-generation' && this.#task instanceof Encoding) {
      this.#repeat = this.#task.prepare(workload);
    } else {
      throw new PageFault(`the model is not made for the workload ${workload.task}`);
    }
  }

  async run(): Promise<Sample> {
    if (this.#repeat === null) throw new Error('no workload has been prepared');
    return this.#repeat();
  }

  async validate(validation: Validation): Promise<ValidationOutput> {
    if (validation.check === 'text' && this.#task instanceof Generation) {
      return this.#task.validate(validation, this.#chat);
    }
    if (validation.check !== 'text' && this.#task instanceof Encoding) return this.#task.validate(validation);
    throw new PageFault(`the model is not made for the validation ${validation.check}`);
  }

  async dispose(): Promise<void> {
    await this.#loaded?.model.dispose();
  }
}

serve(new TransformersJs());
