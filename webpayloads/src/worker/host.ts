/** The worker's end of the conversation with the page: starts a course, and stops at each of its checkpoints. */
import type { Phase } from '../contract';
import { toPageErrors } from '../errors';
import type { Checkpoint, FromWorker, Observed, Start, ToWorker } from '../messages';
import { NeverSettled, type Hearing } from './hearing';

const LONGEST_DISPOSE_MS = 5_000;

/** What a worker does, from the page's word to start until it is done. */
export interface Course {
  /** Rejects with whatever went wrong. */
  run(start: Start, host: Host): Promise<void>;
  dispose(): Promise<void>;
}

export interface HostParts {
  hearing: Hearing;
  observe: () => Observed;
  send: (message: FromWorker) => void;
}

export class Host {
  readonly #course: Course;
  readonly #parts: HostParts;
  readonly #waiting = new Map<number, () => void>();
  #lastId = 0;

  constructor(course: Course, parts: HostParts) {
    this.#course = course;
    this.#parts = parts;
  }

  get hearing(): Hearing {
    return this.#parts.hearing;
  }

  receive(message: ToWorker): void {
    if (message.type === 'go') {
      this.#waiting.get(message.id)?.();
      this.#waiting.delete(message.id);
    } else {
      void this.#start(message);
    }
  }

  /** Resolves when the agent knows of the phase. */
  async enter(phase: Phase): Promise<void> {
    await this.pass({ at: 'phase', phase });
    this.hearing.phase = phase;
  }

  /** Resolves when the page says so. */
  pass(checkpoint: Checkpoint): Promise<void> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#parts.send({ type: 'checkpoint', id, checkpoint, observed: this.#parts.observe() });
    });
  }

  progress(loaded: number, total: number): void {
    this.hearing.alive();
    this.#parts.send({ type: 'progress', loaded, total });
  }

  async #start(start: Start): Promise<void> {
    const { hearing, observe, send } = this.#parts;
    try {
      await this.#course.run(start, this);
      // Before the runtime is closed and gives its memory back.
      const observed = observe();
      await this.#dispose();
      send({ type: 'finished', observed });
    } catch (thrown) {
      // What kept a call from settling has been told as it was heard, and comes before this.
      const source = thrown instanceof NeverSettled ? 'watchdog' : 'exception';
      // A rejection that nobody handles is told in a task of its own, and the page ends this worker at once.
      await new Promise((resolve) => setTimeout(resolve, 0));
      send({ type: 'failed', errors: toPageErrors(thrown, source, hearing.phase), observed: observe() });
    }
  }

  /** Closing is a courtesy to the next one on this device: a runtime that hangs in it has done its work. */
  async #dispose(): Promise<void> {
    this.hearing.deaf = true;
    const limit = new Promise<void>((resolve) => setTimeout(resolve, LONGEST_DISPOSE_MS));
    await Promise.race([this.#course.dispose().catch(() => undefined), limit]);
  }
}
