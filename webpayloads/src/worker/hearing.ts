/**
 * Hears of errors that no promise tells: a truncated model, a trap in WASM or a lost device may leave the runtime's
 * promise pending for ever. Once such an error has been heard, a call that neither settles nor shows any sign of life
 * within the grace fails.
 */
import type { ErrorSource, PageError, Phase } from '../contract';
import { toPageErrors } from '../errors';

export const GRACE_MS = 5_000;

/** Thrown in place of a call that will not settle; what was heard has been told already. */
export class NeverSettled extends Error {
  override readonly name = 'NeverSettled';
}

export class Hearing {
  phase: Phase = 'download';
  /** While the runtime is being closed, losing a device and cancelled work are no news. */
  deaf = false;

  readonly #tell: (error: PageError) => void;
  #sentence: ((reason: NeverSettled) => void) | null = null;
  #grace: ReturnType<typeof setTimeout> | null = null;

  constructor(tell: (error: PageError) => void) {
    this.#tell = tell;
  }

  /** Tells of an error; a `mortal` one starts the grace of the call that is under way. */
  hear(thrown: unknown, source: ErrorSource, mortal: boolean): void {
    if (this.deaf) return;
    for (const error of toPageErrors(thrown, source, this.phase)) this.#tell(error);
    if (mortal) this.#startGrace();
  }

  /** A sign of life from the runtime, such as a token: it has survived what was heard. */
  alive(): void {
    if (this.#grace !== null) this.#startGrace();
  }

  /** Awaits a runtime's call. @throws NeverSettled */
  async watch<Result>(call: Promise<Result>): Promise<Result> {
    const sentenced = new Promise<never>((_, reject) => {
      this.#sentence = reject;
    });
    try {
      return await Promise.race([call, sentenced]);
    } finally {
      this.#sentence = null;
      this.#stopGrace();
    }
  }

  #startGrace(): void {
    if (this.#sentence === null) return;
    this.#stopGrace();
    this.#grace = setTimeout(() => {
      this.#sentence?.(new NeverSettled(`the runtime did not settle within ${GRACE_MS} ms after an error`));
    }, GRACE_MS);
  }

  #stopGrace(): void {
    if (this.#grace !== null) clearTimeout(this.#grace);
    this.#grace = null;
  }
}
