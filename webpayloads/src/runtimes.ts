/** What the pages carry: the table that the build and the coordinator read as well. */
import table from '../runtimes.json';
import type { Backend, Task } from './contract';

export interface RuntimeEntry {
  tasks: readonly Task[];
  backends: readonly Backend[];
  /** How many model files the adapter takes. */
  files: 'none' | 'one' | 'many';
  versions: Readonly<Record<string, string | null>>;
}

export type Runtimes = Readonly<Record<string, RuntimeEntry>>;

export const RUNTIMES = table as unknown as Runtimes;

/** Where the worker of a runtime lies, its WASM files beside it. */
export function workerAddress(base: string, runtime: string, version: string): URL {
  return new URL(`assets/${runtime}-${version}/worker.js`, base);
}
