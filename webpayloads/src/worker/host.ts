/** Takes one adapter through the phases of a run, and tells the page at each checkpoint. */
import type { PageSpec, Phase } from '../contract';
import { PageFault, toPageErrors } from '../errors';
import type { Checkpoint, FromWorker, Observed, ToWorker } from '../messages';
import type { RuntimeAdapter } from '../runtime';
import { NeverSettled, type Hearing } from './hearing';
import { ModelFiles } from './model_files';

const LONGEST_DISPOSE_MS = 5_000;

export interface HostParts {
  hearing: Hearing;
  observe: () => Observed;
  send: (message: FromWorker) => void;
}

export class Host {
  readonly #adapter: RuntimeAdapter;
  readonly #assets: string;
  readonly #parts: HostParts;
  readonly #waiting = new Map<number, () => void>();
  #lastId = 0;
  #initAnnounced = false;

  constructor(adapter: RuntimeAdapter, assets: string, parts: HostParts) {
    this.#adapter = adapter;
    this.#assets = assets;
    this.#parts = parts;
  }

  receive(message: ToWorker): void {
    if (message.type === 'go') {
      this.#waiting.get(message.id)?.();
      this.#waiting.delete(message.id);
    } else {
      void this.#start(message.spec, message.base);
    }
  }

  async #start(spec: PageSpec, base: string): Promise<void> {
    const { hearing, observe, send } = this.#parts;
    try {
      await this.#run(spec, base);
      // Before the runtime is closed and gives its memory back.
      const observed = observe();
      await this.#dispose();
      send({ type: 'finished', observed });
    } catch (thrown) {
      // What kept a call from settling has been told as it was heard, and comes before this.
      const source = thrown instanceof NeverSettled ? 'watchdog' : 'exception';
      send({ type: 'failed', errors: toPageErrors(thrown, source, hearing.phase), observed: observe() });
    }
  }

  async #run(spec: PageSpec, base: string): Promise<void> {
    const { hearing } = this.#parts;
    const adapter = this.#adapter;
    const files = new ModelFiles(base, spec.files, {
      progress: (loaded, total) => {
        hearing.alive();
        this.#parts.send({ type: 'progress', loaded, total });
      },
      complete: () => this.#announceInit(),
    });
    const hooks = { files, assets: this.#assets, alive: () => { hearing.alive(); } };
    const { threads } = await hearing.watch(adapter.init(spec, hooks));
    await this.#announceInit();
    await this.#pass({ at: 'ready', threads });

    const { workload, validation } = spec;
    if (workload.task === 'probe') throw new PageFault('a probe runs without a model');
    if (workload.warmups > 0) {
      await this.#enter('warmup');
      // Preparing counts: a runtime that has to run something to know its prompt compiles its shaders there.
      const start = performance.now();
      await hearing.watch(adapter.prepare(workload));
      for (let index = 0; index < workload.warmups; index += 1) {
        await hearing.watch(adapter.run());
        if (index === 0) await this.#pass({ at: 'first-inference', elapsed_ms: performance.now() - start });
      }
    }
    await this.#enter('measure');
    if (workload.warmups === 0) await hearing.watch(adapter.prepare(workload));
    for (let index = 0; index < workload.repetitions; index += 1) {
      const sample = await hearing.watch(adapter.run());
      await this.#pass({ at: 'sample', sample });
    }
    if (validation !== null) {
      await this.#enter('validate');
      const output = await hearing.watch(adapter.validate(validation));
      await this.#pass({ at: 'validation', output });
    }
  }

  /** Closing is a courtesy to the next one on this device: a runtime that hangs in it has done its work. */
  async #dispose(): Promise<void> {
    this.#parts.hearing.deaf = true;
    const limit = new Promise<void>((resolve) => setTimeout(resolve, LONGEST_DISPOSE_MS));
    await Promise.race([this.#adapter.dispose().catch(() => undefined), limit]);
  }

  async #announceInit(): Promise<void> {
    if (this.#initAnnounced) return;
    this.#initAnnounced = true;
    await this.#enter('init');
  }

  async #enter(phase: Phase): Promise<void> {
    await this.#pass({ at: 'phase', phase });
    this.#parts.hearing.phase = phase;
  }

  #pass(checkpoint: Checkpoint): Promise<void> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#parts.send({ type: 'checkpoint', id, checkpoint, observed: this.#parts.observe() });
    });
  }
}
