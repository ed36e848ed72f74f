/** One attempt from the page's side: spec, adapter, worker, report. */
import type { Agent } from './agent';
import type { EventKind, PageError, PageSpec, Phase } from './contract';
import { toPageErrors } from './errors';
import { requireAdapter } from './gpu';
import type { Checkpoint } from './messages';
import type { RunRecord } from './record';
import type { Runtimes, StartWorker } from './runtimes';
import { checkSpec } from './spec';
import { RunFailure, watchWorker } from './watch';

/** Download notes are this far apart, in milliseconds. */
const NOTE_EVERY_MS = 2_000;

export interface Watcher {
  spec(spec: PageSpec): void;
  progress(loaded: number, total: number): void;
  /** The record has grown. */
  changed(): void;
}

export class Attempt {
  readonly #agent: Agent;
  readonly #record: RunRecord;
  readonly #watcher: Watcher;
  #seq = 0;
  #notedAt = Number.NEGATIVE_INFINITY;

  constructor(agent: Agent, record: RunRecord, watcher: Watcher) {
    this.#agent = agent;
    this.#record = record;
    this.#watcher = watcher;
  }

  /** Ends with a report that the agent has, or that nobody asked for. @throws PageFault when it cannot be posted. */
  async run(runtimes: Runtimes, startWorker: StartWorker): Promise<void> {
    const record = this.#record;
    try {
      await this.#enter('open');
      const received = await this.#agent.spec();
      const spec = checkSpec(received, runtimes);
      record.attempt = spec.attempt;
      this.#watcher.spec(spec);
      if (spec.backend === 'webgpu') record.adapter = await requireAdapter();
      await this.#enter('download');
      await watchWorker(startWorker(this.#agent.base, spec), spec, this.#agent.base, record, {
        checkpoint: (checkpoint) => this.#checkpoint(checkpoint),
        progress: (loaded, total) => {
          this.#progress(loaded, total);
        },
        heard: (error) => {
          this.hear(error);
        },
      });
      record.completed = true;
    } catch (thrown) {
      const errors =
        thrown instanceof RunFailure ? thrown.errors : toPageErrors(thrown, 'exception', record.phase);
      record.fail(errors);
      for (const error of errors) this.#postError(error);
    }
    this.#watcher.changed();
    await this.#agent.report(record.report);
  }

  /** An error that has not ended the run, or not yet. */
  hear(error: PageError): void {
    if (!this.#record.hear(error)) return;
    if (error.source !== 'console') this.#postError(error);
    this.#watcher.changed();
  }

  async #checkpoint(checkpoint: Checkpoint): Promise<void> {
    const record = this.#record;
    switch (checkpoint.at) {
      case 'phase':
        await this.#enter(checkpoint.phase);
        return;
      case 'ready':
        record.threads = checkpoint.threads;
        record.loadMs = performance.now() - (record.phasesMs.download ?? 0);
        await this.#post('note', `model ready after ${record.loadMs.toFixed(0)} ms`);
        break;
      case 'first-inference':
        record.firstInferenceMs = checkpoint.elapsed_ms;
        await this.#post('note', `first inference took ${checkpoint.elapsed_ms.toFixed(0)} ms`);
        break;
      case 'sample':
        record.add(checkpoint.sample);
        await this.#post('note', `repetition ${record.generations.length + record.inferences.length} is done`);
        break;
      case 'validation':
        record.validation = checkpoint.output;
        await this.#post('note', 'validation is done');
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

  #post(kind: EventKind, detail: string, error: PageError | null = null): Promise<void> {
    const event = { seq: this.#seq, kind, phase: this.#record.phase, at_ms: performance.now(), detail, error };
    this.#seq += 1;
    return this.#agent.event(event);
  }
}
