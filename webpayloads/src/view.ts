/** What a person sees who opened the page, or holds the phone that did. */
import type { EmbeddingValidation, PageError, PageReport, PageSpec, Phase, TextValidation } from './contract';
import { toPageErrors } from './errors';
import { bytes, count, duration, rate } from './format';
import type { RunRecord } from './record';
import { cosine, generationFigures, inferenceFigures, leadingAgreement } from './statistics';
import type { Watcher } from './attempt';

const PHASES: readonly (readonly [Phase, string])[] = [
  ['open', 'Open the page'],
  ['download', 'Download model and runtime'],
  ['init', 'Make the model ready'],
  ['warmup', 'Warm up'],
  ['measure', 'Measure'],
  ['validate', 'Validate the output'],
];
/** The clock on the page ticks rarely: drawing it must not disturb what is measured. */
const TICK_MS = 1_000;

type Row = readonly [term: string, value: string | null];

export class View implements Watcher {
  readonly #document: Document;
  readonly #record: RunRecord;
  readonly #ticking: ReturnType<typeof setInterval>;
  #spec: PageSpec | null = null;
  #endedAt: number | null = null;

  constructor(document: Document, record: RunRecord, reporting: boolean) {
    this.#document = document;
    this.#record = record;
    this.#find('notice').hidden = reporting;
    this.#ticking = setInterval(() => {
      this.#drawPhases();
    }, TICK_MS);
    this.changed();
    this.#showState('running', 'Running');
  }

  spec(spec: PageSpec): void {
    this.#spec = spec;
    this.#find('model').textContent = spec.model;
    const tags = [spec.backend === 'webgpu' ? 'WebGPU' : 'WASM', `${spec.runtime} ${spec.runtime_version}`];
    if (spec.weights === 'synthetic') tags.push('synthetic weights');
    this.#find('tags').replaceChildren(...tags.map((tag) => this.#make('span', tag)));
    const { workload } = spec;
    const work =
      workload.task === 'text-generation'
        ? `${count(workload.prompt_tokens)} prompt tokens, ${count(workload.generated_tokens)} generated`
        : workload.task === 'probe'
          ? 'no model'
          : `${count(workload.batch)} × ${count(workload.length)} tokens`;
    const times =
      workload.task === 'probe' ? '' : `; ${workload.warmups} warm-up, ${workload.repetitions} repetitions`;
    const size = spec.files.reduce((sum, file) => sum + file.bytes, 0);
    this.#rows('run', [
      ['Variant', spec.variant],
      ['Task', spec.task],
      ['Workload', `${work}${times}`],
      ['Weights', spec.weights === 'synthetic' ? 'synthetic: random values in true shapes' : 'trained'],
      ['Files', `${count(spec.files.length)}, ${bytes(size)}`],
      ['Attempt', spec.attempt],
    ]);
    this.#find('run-section').hidden = false;
    this.changed();
  }

  progress(loaded: number, total: number): void {
    this.#find('download').hidden = false;
    const bar = this.#find('download-bar') as HTMLProgressElement;
    bar.max = Math.max(total, loaded);
    bar.value = loaded;
    this.#find('download-text').textContent = `${bytes(loaded)} of ${bytes(total)}`;
  }

  changed(): void {
    const report = this.#record.report;
    this.#drawPhases();
    this.#drawFigures(report);
    this.#drawOutput(report);
    this.#drawErrors(report.errors ?? []);
    this.#drawDevice(report);
    if (this.#endedAt === null) {
      this.#find('state-detail').textContent = PHASES.find(([phase]) => phase === report.phase)?.[1] ?? '';
    }
  }

  /** `trouble` is why the report did not reach the agent, or null. */
  finish(trouble: unknown): void {
    clearInterval(this.#ticking);
    this.#endedAt = performance.now();
    const { completed, phase, errors } = this.#record.report;
    const shown = trouble === null ? [] : toPageErrors(trouble, 'exception', 'collect');
    if (completed) this.#showState('completed', 'Completed');
    else this.#showState('failed', `Failed in phase ${phase}`);
    const untold = shown.map((error) => `The report was not delivered: ${error.message}`);
    const reason = completed ? '' : (errors?.[0]?.message ?? '');
    this.#find('state-detail').textContent = [reason, ...untold].join(' ').trim();
    this.#drawPhases();
  }

  #showState(state: 'running' | 'completed' | 'failed', words: string): void {
    this.#document.body.dataset.state = state;
    this.#find('state').textContent = words;
    const sign = { running: '…', completed: '✓', failed: '✗' }[state];
    this.#document.title = `${sign} ${words} · ${this.#spec?.variant ?? 'fitmatrix'}`;
  }

  #drawPhases(): void {
    const { phasesMs, phase: current } = this.#record;
    const now = this.#endedAt ?? performance.now();
    const ended = this.#endedAt !== null;
    const begun = PHASES.map(([phase]) => phasesMs[phase]).filter((start) => start !== undefined);
    const items = PHASES.map(([phase, words]) => {
      const item = this.#make('li', words);
      const start = phasesMs[phase];
      const isCurrent = phase === current && !this.#record.completed;
      if (start !== undefined) {
        const end = begun.filter((other) => other > start).sort((a, b) => a - b)[0] ?? now;
        item.append(this.#make('span', duration(end - start)));
      }
      item.className = isCurrent ? (ended ? 'failed' : 'current') : start === undefined ? 'waiting' : 'done';
      return item;
    });
    this.#find('phases').replaceChildren(...items);
  }

  #drawFigures(report: PageReport): void {
    const generations = report.generation_samples ?? [];
    const inferences = report.inference_samples ?? [];
    const rows: Row[] = [];
    if (generations.length > 0) {
      const figures = generationFigures(generations);
      const last = generations.at(-1);
      rows.push(
        ['Decode', rate(figures.decode_tokens_per_second, 'tok/s')],
        ['Prefill', rate(figures.prefill_tokens_per_second, 'tok/s')],
        ['First token', duration(figures.ttft_ms)],
        ['Tokens', last === undefined ? null : `${count(last.tokens_in)} in, ${count(last.tokens_out)} out`],
      );
    }
    if (inferences.length > 0) {
      const figures = inferenceFigures(inferences);
      rows.push(['Latency', duration(figures.latency_ms)], ['Throughput', rate(figures.inferences_per_second, '/s')]);
    }
    rows.push(
      ['Load', duration(report.load_ms ?? null)],
      ['First inference', duration(report.first_inference_ms ?? null)],
      ['WebGPU memory, peak', bytes(report.gpu_memory?.peak_bytes ?? null)],
      ['WASM memory, peak', bytes(report.wasm_peak_bytes ?? null)],
    );
    this.#rows('figures', rows);
    const samples = generations.length + inferences.length;
    const workload = this.#spec?.workload;
    const wanted = workload === undefined || workload.task === 'probe' ? samples : workload.repetitions;
    this.#find('figures-note').textContent =
      samples === 0 ? '' : `Medians over ${samples} of ${wanted} repetitions.`;
    this.#find('figures-section').hidden = rows.every(([, value]) => value === null);
  }

  #drawOutput({ validation: output }: PageReport): void {
    const validation = this.#spec?.validation ?? null;
    if (validation === null || output === null || output === undefined) return;
    const parts =
      validation.check === 'text'
        ? this.#textOutput(validation, output.texts ?? [])
        : validation.check === 'embedding'
          ? this.#embeddingOutput(validation, output.vectors ?? [])
          : [];
    this.#find('output').replaceChildren(...parts);
    this.#find('output-section').hidden = false;
  }

  #textOutput(validation: TextValidation, texts: readonly string[]): HTMLElement[] {
    const [first = '', second] = texts;
    const parts = [...this.#quote('Prompt', validation.prompt), ...this.#quote('Generated', first)];
    if (second !== undefined) {
      const same = second === first;
      parts.push(this.#make('p', same ? 'The second generation is identical.' : 'The second generation differs:'));
      if (!same) parts.push(this.#make('blockquote', second));
    }
    if (validation.reference_text !== null) {
      const agreement = leadingAgreement(first, validation.reference_text);
      parts.push(
        ...this.#quote(`Reference (${validation.reference_source ?? 'unnamed'})`, validation.reference_text),
        this.#make('p', `${(agreement * 100).toFixed(0)} % of the reference is repeated from its start.`),
      );
    }
    if (validation.expected_substring !== null) {
      const found = first.includes(validation.expected_substring);
      parts.push(this.#make('p', `“${validation.expected_substring}” is ${found ? '' : 'not '}in the text.`));
    }
    return parts;
  }

  #embeddingOutput(validation: EmbeddingValidation, vectors: readonly (number | null)[][]): HTMLElement[] {
    return validation.texts.flatMap((text, index) => {
      const similarity = cosine(vectors[index] ?? [], validation.reference[index] ?? []);
      const words = similarity === null ? 'does not compare with the reference' : `cosine ${similarity.toFixed(5)}`;
      return [this.#make('blockquote', text), this.#make('p', words)];
    });
  }

  #drawErrors(errors: readonly PageError[]): void {
    const items = errors.map((error) => {
      const item = this.#make('li', '');
      item.append(
        this.#make('p', `${error.source} in phase ${error.phase}${error.name ? `: ${error.name}` : ''}`),
        this.#make('pre', error.message),
      );
      if (error.stack) {
        const details = this.#make('details', '');
        details.append(this.#make('summary', 'Stack'), this.#make('pre', error.stack));
        item.append(details);
      }
      return item;
    });
    this.#find('errors').replaceChildren(...items);
    this.#find('errors-section').hidden = errors.length === 0;
  }

  #drawDevice({ environment }: PageReport): void {
    const { adapter } = environment;
    const gpu = adapter
      ? [adapter.vendor, adapter.architecture, adapter.device, adapter.description].filter(Boolean).join(' ')
      : null;
    this.#rows('device', [
      ['GPU', gpu === null ? null : `${gpu || 'unnamed'}${adapter?.fallback ? ' (software: not a GPU)' : ''}`],
      ['Processor threads', count(environment.hardware_concurrency)],
      ['WASM threads', environment.threads ? count(environment.threads) : null],
      ['Memory, as the browser says', environment.device_memory_gib ? `${environment.device_memory_gib} GiB` : null],
      ['Cross-origin isolated', environment.cross_origin_isolated ? 'yes' : 'no: WASM runs on one thread'],
      ['Browser', environment.user_agent],
    ]);
    this.#find('limits').hidden = !adapter;
    if (!adapter) return;
    this.#find('gpu-features').textContent = (adapter.features ?? []).join(', ');
    this.#rows(
      'gpu-limits',
      Object.entries(adapter.limits ?? {}).map(([name, value]) => [name, count(value)]),
    );
  }

  #quote(title: string, text: string): HTMLElement[] {
    return [this.#make('h3', title), this.#make('blockquote', text === '' ? '(nothing)' : text)];
  }

  #rows(id: string, rows: readonly Row[]): void {
    const known = rows.filter(([, value]) => value !== null);
    this.#find(id).replaceChildren(
      ...known.map(([term, value]) => {
        const row = this.#make('div', '');
        row.append(this.#make('dt', term), this.#make('dd', value ?? ''));
        return row;
      }),
    );
  }

  #make(tag: string, text: string): HTMLElement {
    const element = this.#document.createElement(tag);
    element.textContent = text;
    return element;
  }

  #find(id: string): HTMLElement {
    const element = this.#document.getElementById(id);
    if (element === null) throw new Error(`the page has no #${id}`);
    return element;
  }
}
