/** MediaPipe's text tasks (tasks-text), classifier and embedder, on the CPU: TensorFlow Lite in WASM. */
import './instruments';

import { FilesetResolver, TextClassifier, TextEmbedder } from '@mediapipe/tasks-text';

import type { LabelScore, PageSpec, ValidationOutput } from '../contract';
import { PageFault } from '../errors';
import type { Sample } from '../messages';
import { words } from '../prompt';
import type { Hooks, Ready, RuntimeAdapter, Validation, Workload } from '../runtime';
import { serve } from './serve';

class MediaPipeText implements RuntimeAdapter {
  #classifier: TextClassifier | null = null;
  #embedder: TextEmbedder | null = null;
  #text = '';

  async init(spec: PageSpec, hooks: Hooks): Promise<Ready> {
    refuseBatches(spec.workload);
    const fileset = await FilesetResolver.forTextTasks(hooks.assets.replace(/\/$/, ''));
    const body = await hooks.files.stream(hooks.files.single.path);
    const options = { baseOptions: { modelAssetBuffer: body.getReader(), delegate: 'CPU' as const } };
    if (spec.task === 'text-classification') {
      this.#classifier = await TextClassifier.createFromOptions(fileset, options);
    } else {
      this.#embedder = await TextEmbedder.createFromOptions(fileset, options);
    }
    // The library's WASM is built without threads.
    return { threads: 1 };
  }

  prepare(workload: Workload): Promise<void> {
    refuseBatches(workload);
    if (workload.task !== 'text-classification' && workload.task !== 'feature-extraction') {
      throw new PageFault(`no such workload here: ${workload.task}`);
    }
    // The library tells nobody how many tokens it makes of a text: the length is one in words.
    this.#text = words(workload.length);
    return Promise.resolve();
  }

  run(): Promise<Sample> {
    const start = performance.now();
    if (this.#classifier === null) this.#embed(this.#text);
    else this.#classifier.classify(this.#text);
    return Promise.resolve({ kind: 'inference', sample: { latency_ms: performance.now() - start, batch: 1 } });
  }

  validate(validation: Validation): Promise<ValidationOutput> {
    if (validation.check === 'embedding') {
      const found = validation.texts.map((text) => this.#embed(text));
      const vectors = found.map((vector) => vector.map((value) => (Number.isFinite(value) ? value : null)));
      return Promise.resolve({ vectors, non_finite: nonFinite(found.flat()) });
    }
    if (validation.check === 'labels') {
      const found = validation.texts.map((text) => this.#classify(text));
      const scores = found.flat().map(({ score }) => score);
      // JSON has no NaN: a score that is none is left out, and counted.
      const labels = found.map((list) => list.filter(({ score }) => Number.isFinite(score)));
      return Promise.resolve({ labels, non_finite: nonFinite(scores) });
    }
    throw new PageFault(`no such validation here: ${validation.check}`);
  }

  dispose(): Promise<void> {
    this.#classifier?.close();
    this.#embedder?.close();
    return Promise.resolve();
  }

  /** All labels, best first. */
  #classify(text: string): LabelScore[] {
    if (this.#classifier === null) throw new Error('no classifier has been loaded');
    const categories = this.#classifier.classify(text).classifications[0]?.categories ?? [];
    return categories
      .map(({ categoryName, score }) => ({ label: categoryName, score }))
      .sort((one, two) => two.score - one.score);
  }

  #embed(text: string): number[] {
    if (this.#embedder === null) throw new Error('no embedder has been loaded');
    return [...(this.#embedder.embed(text).embeddings[0]?.floatEmbedding ?? [])];
  }
}

function refuseBatches(workload: PageSpec['workload']): void {
  if ('batch' in workload && workload.batch !== 1) {
    throw new PageFault(`workload.batch is ${workload.batch}; mediapipe-text takes one text at a time`);
  }
}

function nonFinite(values: number[]): number {
  return values.filter((value) => !Number.isFinite(value)).length;
}

serve(new MediaPipeText());
