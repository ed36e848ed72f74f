/** What a person sees who opened the page, or holds the phone that did. */
import type { Watcher } from './attempt';
import type { PageError, PageReport, PageSpec, Phase } from './contract';
import { toPageErrors } from './errors';
import { memoryRows, probeRows, speedRows, type Row } from './figures';
import { bytes, count, duration } from './format';
import { outputParts } from './output';
import type { RunRecord } from './record';

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
    this.#find('model').textContent = spec.task === 'probe' ? 'What this browser can do' : spec.model;
    this.#find('tags').replaceChildren(...tagsOf(spec).map((tag) => this.#make('span', tag)));
    const size = spec.files.reduce((sum, file) => sum + file.bytes, 0);
    const synthetic = spec.weights === 'synthetic';
    const isProbe = spec.task === 'probe';
    this.#rows('run', [
      { term: 'Variant', value: spec.variant },
      { term: 'Task', value: spec.task },
      { term: 'Workload', value: workloadOf(spec) },
      { term: 'Weights', value: isProbe ? null : synthetic ? 'synthetic: random values in true shapes' : 'trained' },
      { term: 'Files', value: isProbe ? null : `${count(spec.files.length)}, ${bytes(size)}` },
      { term: 'Attempt', value: spec.attempt },
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
    const { attempt, completed, phase, errors } = this.#record.report;
    if (this.#spec === null) this.#find('model').textContent = `Attempt ${attempt}`;
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
    const items = PHASES.filter(([phase]) => phase === current || has(this.#spec, phase)).map(([phase, words]) => {
      const item = this.#make('li', phase === 'download' && this.#spec?.task === 'probe' ? 'Load the probe' : words);
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
    const samples = (report.generation_samples?.length ?? 0) + (report.inference_samples?.length ?? 0);
    const workload = this.#spec?.workload;
    const wanted = workload === undefined || workload.task === 'probe' ? samples : workload.repetitions;
    const words = `${samples === wanted ? '' : `${samples} of `}${wanted} repetition${wanted === 1 ? '' : 's'}`;
    this.#find('figures-note').textContent = samples === 0 ? '' : `Medians over ${words}.`;
    this.#section('figures', speedRows(report));
    this.#section('memory', memoryRows(report));
    this.#section('probe', report.probe ? probeRows(report.probe) : []);
  }

  #drawOutput({ validation: output }: PageReport): void {
    const validation = this.#spec?.validation ?? null;
    if (validation === null || output === null || output === undefined) return;
    const tags = { title: 'h3', quote: 'blockquote', text: 'p' } as const;
    const parts = outputParts(validation, output).map(({ as, words }) => this.#make(tags[as], words));
    this.#find('output').replaceChildren(...parts);
    this.#find('output-section').hidden = false;
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
    const memory = environment.device_memory_gib;
    this.#rows('device', [
      { term: 'GPU', value: gpu === null ? null : gpu || 'unnamed', note: adapter?.fallback ? 'software: not a GPU' : '' },
      { term: 'Processor threads', value: count(environment.hardware_concurrency) },
      { term: 'WASM threads', value: environment.threads ? count(environment.threads) : null },
      { term: 'Memory', value: memory ? `${memory} GiB` : null, note: 'rounded by the browser' },
      { term: 'Cross-origin isolated', value: environment.cross_origin_isolated ? 'yes' : 'no: WASM runs on one thread' },
      { term: 'Browser', value: environment.user_agent },
    ]);
    this.#find('limits').hidden = !adapter;
    if (!adapter) return;
    this.#find('gpu-features').textContent = (adapter.features ?? []).join(', ');
    this.#rows(
      'gpu-limits',
      Object.entries(adapter.limits ?? {}).map(([term, value]) => ({ term, value: count(value) })),
    );
  }

  /** A section that is there as long as it has something to show. */
  #section(id: string, rows: readonly Row[]): void {
    this.#rows(id, rows);
    this.#find(`${id}-section`).hidden = rows.every(({ value }) => value === null);
  }

  #rows(id: string, rows: readonly Row[]): void {
    const known = rows.filter(({ value }) => value !== null);
    this.#find(id).replaceChildren(
      ...known.map(({ term, value, note }) => {
        const row = this.#make('div', '');
        const description = this.#make('dd', value ?? '');
        if (note !== undefined && note !== '') description.append(this.#make('small', note));
        row.append(this.#make('dt', term), description);
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

/** Whether a run of this spec comes through the phase; without a spec, any may come. */
function has(spec: PageSpec | null, phase: Phase): boolean {
  if (spec === null) return true;
  const { workload, validation } = spec;
  if (workload.task === 'probe') return phase === 'open' || phase === 'download' || phase === 'measure';
  if (phase === 'warmup') return workload.warmups > 0;
  return phase !== 'validate' || validation !== null;
}

function tagsOf({ backend, runtime, runtime_version, task, weights }: PageSpec): string[] {
  if (task === 'probe') return ['probe: no model'];
  const tags = [backend === 'webgpu' ? 'WebGPU' : 'WASM', `${runtime} ${runtime_version}`];
  return weights === 'synthetic' ? [...tags, 'synthetic weights'] : tags;
}

function workloadOf({ workload }: PageSpec): string {
  if (workload.task === 'probe') return 'a few micro-benchmarks';
  const depth = workload.task === 'text-generation' && workload.context_tokens > 0 ? workload.context_tokens : null;
  const work =
    workload.task === 'text-generation'
      ? `${count(workload.prompt_tokens)} prompt tokens, ${count(workload.generated_tokens)} generated`
      : `${count(workload.batch)} × ${count(workload.length)} tokens`;
  const how = { standard: '', sustained: ', without a pause', load: ', after two loadings' }[workload.protocol];
  const context = depth === null ? '' : `, behind ${count(depth)} tokens of context`;
  return `${work}${context}; ${workload.warmups} warm-up, ${workload.repetitions} repetitions${how}`;
}
