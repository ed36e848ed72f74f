/** One attempt from the page's side: spec, adapter, workers, report. */
import type { Agent } from './agent';
import type { EventKind, PageError, PageSpec, Phase } from './contract';
import { toPageErrors } from './errors';
import { requireAdapter } from './gpu';
import type { PageMemory } from './memory';
import type { CacheUse, Checkpoint } from './messages';
import type { RunRecord } from './record';
import type { Runtimes, StartWorker } from './runtimes';
import { checkSpec } from './spec';
import { forgetModel } from './storage';
import { RunFailure, watchWorker } from './watch';

/** Download notes are this far apart, in milliseconds. */
const NOTE_EVERY_MS = 2_000;
/** Notes of repetitions likewise. */
const REPETITION_NOTE_EVERY_MS = 500;

export interface Watcher {
  spec(spec: PageSpec): void;
  progress(loaded: number, total: number): void;
  /** The record has grown. */
  changed(): void;
}

/** What an attempt needs of the browser. */
export interface Means {
  startWorker: StartWorker;
  /** Null where the browser does not say. */
  measureMemory(): Promise<PageMemory | null>;
}

export class Attempt {
  readonly #agent: Agent;
  readonly #record: RunRecord;
  readonly #watcher: Watcher;
  readonly #means: Means;
  #seq = 0;
  #notedAt = Number.NEGATIVE_INFINITY;
  #repetitionNotedAt = Number.NEGATIVE_INFINITY;
  #instruments = true;
  #loadBeganAt = 0;

  constructor(agent: Agent, record: RunRecord, watcher: Watcher, means: Means) {
    this.#agent = agent;
    this.#record = record;
    this.#watcher = watcher;
    this.#means = means;
  }

  /** Ends with a report that the agent has, or that nobody asked for. @throws PageFault when it cannot be posted. */
  async run(runtimes: Runtimes): Promise<void> {
    const record = this.#record;
    let spec: PageSpec | null = null;
    try {
      spec = checkSpec(await this.#agent.spec(), runtimes);
      record.attempt = spec.attempt;
      this.#instruments = spec.instruments;
      this.#watcher.spec(spec);
      await this.#enter('open');
      if (spec.backend === 'webgpu') record.adapter = await requireAdapter();
      await this.#work(spec);
      record.completed = true;
    } catch (thrown) {
      const errors =
        thrown instanceof RunFailure ? thrown.errors : toPageErrors(thrown, 'exception', record.phase);
      record.fail(errors);
      for (const error of errors) {
        this.#postError(error);
        // For whoever has opened the page by hand, and for the console that is kept of each attempt.
        console.error(error.message);
      }
    }
    this.#watcher.changed();
    await this.#agent.report(record.report, (reason) => record.bareReport(reason));
    if (spec !== null && isLoadedTwice(spec)) await forgetModel(spec.attempt).catch(() => undefined);
  }

  /** An error that has not ended the run, or not yet. */
  hear(error: PageError): void {
    if (!this.#record.hear(error)) return;
    if (error.source !== 'console') this.#postError(error);
    this.#watcher.changed();
  }

  async #work(spec: PageSpec): Promise<void> {
    if (!isLoadedTwice(spec)) {
      await this.#enter('download');
      await this.#follow(spec, 'none');
      return;
    }
    // What an earlier page of this attempt has left would make the first loading a warm one.
    await forgetModel(spec.attempt);
    await this.#enter('download');
    await this.#follow(spec, 'fill');
    await this.#post('note', 'loading again, from the browser’s caches');
    await this.#follow(spec, 'read');
  }

  /** Starts a worker and goes with it until it is done. */
  async #follow(spec: PageSpec, cache: CacheUse): Promise<void> {
    this.#loadBeganAt = performance.now();
    const { base } = this.#agent;
    await watchWorker(this.#means.startWorker(base, spec), { spec, base, cache }, this.#record, {
      checkpoint: (checkpoint) => this.#checkpoint(checkpoint, cache),
      progress: (loaded, total) => {
        this.#progress(loaded, total);
      },
      heard: (error) => {
        this.hear(error);
      },
    });
  }

  async #checkpoint(checkpoint: Checkpoint, cache: CacheUse): Promise<void> {
    const record = this.#record;
    switch (checkpoint.at) {
      case 'phase':
        await this.#enter(checkpoint.phase);
        return;
      case 'ready': {
        const load_ms = performance.now() - this.#loadBeganAt;
        record.threads = checkpoint.threads;
        record.loads.push({ cache: cache === 'read' ? 'warm' : 'cold', load_ms, ...checkpoint.loaded });
        await this.#post('note', `model ready after ${load_ms.toFixed(0)} ms`);
        break;
      }
      case 'first-inference':
        record.firstInferenceMs = checkpoint.elapsed_ms;
        await this.#post('note', `first inference took ${checkpoint.elapsed_ms.toFixed(0)} ms`);
        break;
      case 'sample':
        record.add(checkpoint.sample);
        await this.#noteRepetition(record.generations.length + record.inferences.length);
        break;
      case 'measured':
        if (this.#instruments) record.memory = await this.#means.measureMemory();
        break;
      case 'validation':
        record.validation = checkpoint.output;
        await this.#post('note', 'validation is done');
        break;
      case 'probe':
        record.probe = checkpoint.result;
        await this.#post('note', 'the probe is done');
        break;
    }
    this.#watcher.changed();
  }

  /** The agent knows of a phase before it begins: should the tab die in it, its last event says where. */
  async #enter(phase: Phase): Promise<void> {
    this.#record.phase = phase;
    await this.#post('phase', phase);
    this.#record.phasesMs[phase] = performance.now();
    this.#watcher.changed();
  }

  /** Not each of the short ones: what happens between two inferences of a millisecond slows the second one down. */
  async #noteRepetition(number: number): Promise<void> {
    const now = performance.now();
    if (now - this.#repetitionNotedAt < REPETITION_NOTE_EVERY_MS) return;
    this.#repetitionNotedAt = now;
    await this.#post('note', `repetition ${number} is done`);
  }

  #progress(loaded: number, total: number): void {
    this.#watcher.progress(loaded, total);
    const now = performance.now();
    if (now - this.#notedAt < NOTE_EVERY_MS) return;
    this.#notedAt = now;
    void this.#post('note', `downloaded ${loaded} of ${total} bytes`).catch(() => undefined);
  }

  #postError(error: PageError): void {
    // The report brings it again: this one is for the case that no report follows.
    void this.#post('error', error.message.slice(0, 200), error).catch(() => undefined);
  }

  async #post(kind: EventKind, detail: string, error: PageError | null = null): Promise<void> {
    if (!this.#instruments) return;
    const event = { seq: this.#seq, kind, phase: this.#record.phase, at_ms: performance.now(), detail, error };
    this.#seq += 1;
    await this.#agent.event(event);
  }
}

function isLoadedTwice({ workload }: PageSpec): boolean {
  return workload.task !== 'probe' && workload.protocol === 'load';
}
