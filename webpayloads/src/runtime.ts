/** What a runtime's adapter is: the one place that knows the library. It runs in a worker and has no DOM. */
import type { PageSpec, ProbeWorkload, ValidationOutput } from './contract';
import type { Sample } from './messages';
import type { ModelFiles } from './worker/model_files';

export type Workload = Exclude<PageSpec['workload'], ProbeWorkload>;
export type Validation = NonNullable<PageSpec['validation']>;

export interface Hooks {
  files: ModelFiles;
  /** Where this runtime's WASM files lie, with a slash at the end. */
  assets: string;
  /** To be called with every token or other sign of life. */
  alive(): void;
}

export interface Ready {
  /** WASM threads, where the runtime says so. */
  threads: number | null;
}

/** Any method may reject with whatever its library throws. */
export interface RuntimeAdapter {
  /** Downloads the model and makes it ready to run. */
  init(spec: PageSpec, hooks: Hooks): Promise<Ready>;
  /** Makes the workload's input; not measured. */
  prepare(workload: Workload): Promise<void>;
  /** One repetition of the prepared workload. */
  run(): Promise<Sample>;
  validate(validation: Validation): Promise<ValidationOutput>;
  dispose(): Promise<void>;
}
