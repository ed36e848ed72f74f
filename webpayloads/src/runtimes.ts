/** What the pages carry: the table that the build and the coordinator read as well. */
import table from '../runtimes.json';
import type { Backend, PageSpec, Task } from './contract';

export interface RuntimeEntry {
  tasks: readonly Task[];
  backends: readonly Backend[];
  /** How many model files the adapter takes. */
  files: 'none' | 'one' | 'many';
  versions: Readonly<Record<string, string | null>>;
}

export type Runtimes = Readonly<Record<string, RuntimeEntry>>;

export const RUNTIMES = table as unknown as Runtimes;

export type StartWorker = (base: string, spec: PageSpec) => Worker;

/** A worker script for each version of each runtime, its WASM files beside it: one that does not run is not downloaded. */
export const startWorker: StartWorker = (base, spec) => new Worker(workerAddress(base, spec), { name: spec.runtime });

export function workerAddress(
  base: string,
  { runtime, runtime_version, instruments }: Pick<PageSpec, 'runtime' | 'runtime_version' | 'instruments'>,
): URL {
  const address = new URL(`assets/${runtime}-${runtime_version}/worker.js`, base);
  // In the address, because the worker has to know it before its first message.
  if (!instruments) address.searchParams.set('instruments', 'off');
  return address;
}

/** Whether the worker at this address measures what its runtime allocates. */
export function isInstrumented({ search }: Pick<Location, 'search'>): boolean {
  return new URLSearchParams(search).get('instruments') !== 'off';
}
