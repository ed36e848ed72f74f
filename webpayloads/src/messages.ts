/** What the page and its worker say to each other. */
import type {
  GenerationSample,
  GpuAdapter,
  GpuMemory,
  InferenceSample,
  PageError,
  PageSpec,
  Phase,
  ProbeResult,
  ValidationOutput,
} from './contract';

export type Sample =
  { kind: 'generation'; sample: GenerationSample } | { kind: 'inference'; sample: InferenceSample };

/** Memory as seen from inside the worker. */
export interface Observed {
  gpu_memory: GpuMemory | null;
  wasm_peak_bytes: number | null;
}

/**
 * What a worker does with the browser's Cache Storage. `fill`: loads the model, keeps its files there, and is done;
 * `read`: loads what is there, and goes on with the run.
 */
export type CacheUse = 'none' | 'fill' | 'read';

/** Bodies of model files, by where they came from. */
export interface LoadedBytes {
  network_bytes: number;
  cache_bytes: number;
}

/**
 * What the worker waits for an answer to, between its timed regions: the page tells the agent, and only then
 * the worker goes on. What is reported this way survives the worker's death.
 */
export type Checkpoint =
  | { at: 'phase'; phase: Phase }
  | { at: 'ready'; threads: number | null; loaded: LoadedBytes }
  | { at: 'first-inference'; elapsed_ms: number }
  | { at: 'sample'; sample: Sample }
  /** All repetitions are done, and nothing is being validated yet. */
  | { at: 'measured' }
  | { at: 'validation'; output: ValidationOutput }
  | { at: 'probe'; result: ProbeResult };

export type FromWorker =
  /** The script has been loaded. */
  | { type: 'started' }
  /** The worker holds its lock. */
  | { type: 'locked' }
  | { type: 'checkpoint'; id: number; checkpoint: Checkpoint; observed: Observed }
  | { type: 'progress'; loaded: number; total: number }
  | { type: 'adapter'; adapter: GpuAdapter }
  | { type: 'heard'; error: PageError }
  | { type: 'finished'; observed: Observed }
  | { type: 'failed'; errors: PageError[]; observed: Observed };

/** `base` is the page's address, which model files lie below; `lock` is held for as long as the worker lives. */
export interface Start {
  type: 'start';
  spec: PageSpec;
  base: string;
  lock: string;
  cache: CacheUse;
}

export type ToWorker = Start | { type: 'go'; id: number };
