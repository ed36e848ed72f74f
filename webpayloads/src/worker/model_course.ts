/** Takes one adapter through the phases of a run. */
import { PageFault } from '../errors';
import { finiteOutput, requireFinite } from '../finite';
import type { Start } from '../messages';
import type { RuntimeAdapter, Workload } from '../runtime';
import { chooseSource } from './file_source';
import type { Course, Host } from './host';
import { ModelFiles } from './model_files';

export class ModelCourse implements Course {
  readonly #adapter: RuntimeAdapter;
  readonly #assets: string;

  /** `assets` is where the runtime's own files lie, with a slash at the end. */
  constructor(adapter: RuntimeAdapter, assets: string) {
    this.#adapter = adapter;
    this.#assets = assets;
  }

  async run({ spec, base, cache }: Start, host: Host): Promise<void> {
    const { workload, validation } = spec;
    if (workload.task === 'probe') throw new PageFault('a probe runs without a model');
    await this.#load({ spec, base, cache }, host);
    if (cache === 'fill') return;
    await this.#measure(workload, host);
    if (validation === null) return;
    await host.enter('validate');
    const output = await host.hearing.watch(this.#adapter.validate(validation));
    await host.pass({ at: 'validation', output: finiteOutput(output) });
  }

  async dispose(): Promise<void> {
    await this.#adapter.dispose();
  }

  async #load({ spec, base, cache }: Pick<Start, 'spec' | 'base' | 'cache'>, host: Host): Promise<void> {
    const { hearing } = host;
    // A second loading is no second download: it stays in the phase in which the first one ended.
    let initAnnounced = cache === 'read';
    if (initAnnounced) hearing.phase = 'init';
    const announceInit = async (): Promise<void> => {
      if (initAnnounced) return;
      initAnnounced = true;
      await host.enter('init');
    };
    const source = await chooseSource(cache, spec.attempt);
    const files = new ModelFiles(base, spec.files, source, {
      progress: (loaded, total) => {
        host.progress(loaded, total);
      },
      complete: announceInit,
      failed: (reason) => {
        // Not every runtime passes on why a file did not come, or settles when one does not.
        hearing.hear(reason, 'exception', true);
      },
    });
    const hooks = { files, assets: this.#assets, alive: () => { hearing.alive(); } };
    const { threads } = await hearing.watch(this.#adapter.init(spec, hooks));
    await announceInit();
    await host.pass({ at: 'ready', threads, loaded: files.loaded });
    // Not part of the loading: what is still being written to the cache is for the next one.
    await source.settle();
  }

  async #measure(workload: Workload, host: Host): Promise<void> {
    const { hearing } = host;
    const adapter = this.#adapter;
    if (workload.warmups > 0) {
      await host.enter('warmup');
      // Preparing counts: a runtime that has to run something to know its prompt compiles its shaders there.
      const start = performance.now();
      await hearing.watch(adapter.prepare(workload));
      for (let index = 0; index < workload.warmups; index += 1) {
        await hearing.watch(adapter.run());
        if (index === 0) await host.pass({ at: 'first-inference', elapsed_ms: performance.now() - start });
      }
    }
    await host.enter('measure');
    if (workload.warmups === 0) await hearing.watch(adapter.prepare(workload));
    for (let index = 0; index < workload.repetitions; index += 1) {
      const sample = await hearing.watch(adapter.run());
      requireFinite(sample);
      // The only pause between two repetitions, of whatever protocol.
      await host.pass({ at: 'sample', sample });
    }
    await host.pass({ at: 'measured' });
  }
}
