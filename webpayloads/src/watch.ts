/** Watches the worker that runs the model: answers its checkpoints, keeps what it says, and notices when it dies. */
import type { PageError } from './contract';
import { toPageErrors } from './errors';
import type { Checkpoint, FromWorker, Start, ToWorker } from './messages';
import type { RunRecord } from './record';

/** Longest wait for a worker that has been ended. */
const LONGEST_END_MS = 5_000;

/** What a run ended with, in place of a result. */
export class RunFailure extends Error {
  constructor(readonly errors: PageError[]) {
    super(errors[0]?.message ?? 'failed');
  }
}

export interface WatchEars {
  /** Resolves when the agent knows; the worker waits for it. */
  checkpoint(checkpoint: Checkpoint): Promise<void>;
  progress(loaded: number, total: number): void;
  heard(error: PageError): void;
}

/** Resolves when the worker has done what it was started for. @throws RunFailure, or what a checkpoint failed with. */
export async function watchWorker(
  worker: Worker,
  what: Omit<Start, 'type' | 'lock'>,
  record: RunRecord,
  ears: WatchEars,
): Promise<void> {
  // A name for each worker: one that has been ended gives its lock back only a moment later.
  const lock = `${what.spec.attempt} ${performance.timeOrigin} ${what.cache}`;
  const over = new AbortController();
  const tell = (message: ToWorker): void => {
    worker.postMessage(message);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const failWith = (thrown: unknown): void => {
        reject(new RunFailure(toPageErrors(thrown, 'worker-error', record.phase)));
      };
      let started = false;

      worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
        switch (data.type) {
          case 'started':
            started = true;
            tell({ type: 'start', ...what, lock });
            break;
          case 'locked':
            navigator.locks
              .request(lock, { signal: over.signal }, () => {
                failWith({ message: 'the worker died without a word' });
              })
              .catch(() => undefined);
            break;
          case 'checkpoint':
            record.observe(data.observed);
            ears.checkpoint(data.checkpoint).then(() => {
              tell({ type: 'go', id: data.id });
            }, reject);
            break;
          case 'progress':
            ears.progress(data.loaded, data.total);
            break;
          case 'adapter':
            record.adapter = data.adapter;
            break;
          case 'heard':
            ears.heard(data.error);
            break;
          case 'finished':
            record.observe(data.observed);
            resolve();
            break;
          case 'failed':
            record.observe(data.observed);
            reject(new RunFailure(data.errors));
            break;
        }
      });
      worker.addEventListener('error', (event) => {
        // Once it runs, the worker hears of its own errors, and knows which of them it survives.
        if (!started) failWith({ message: event.message || 'the worker script could not be loaded' });
      });
      worker.addEventListener('messageerror', () => {
        failWith({ message: 'a message of the worker could not be read' });
      });
    });
  } finally {
    over.abort();
    worker.terminate();
    // Another one is about to start, and this one's end takes time and memory, too.
    if (what.cache === 'fill') await gone(lock);
  }
}

/** Resolves when nobody holds the lock any more, or soon. */
async function gone(lock: string): Promise<void> {
  const signal = AbortSignal.timeout(LONGEST_END_MS);
  await navigator.locks.request(lock, { signal }, () => undefined).catch(() => undefined);
}
