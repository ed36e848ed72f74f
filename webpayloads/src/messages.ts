/** What the page and its worker say to each other. */
import type {
  GenerationSample,
  GpuAdapter,
  GpuMemory,
  InferenceSample,
  PageError,
  PageSpec,
  Phase,
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
 * What the worker waits for an answer to, between its timed regions: the page tells the agent, and only then
 * the worker goes on. What is reported this way survives the worker's death.
 */
export type Checkpoint =
  | { at: 'phase'; phase: Phase }
  | { at: 'ready'; threads: number | null }
  | { at: 'first-inference'; elapsed_ms: number }
  | { at: 'sample'; sample: Sample }
  | { at: 'validation'; output: ValidationOutput };

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

export type ToWorker =
  /** `base` is the page's address, which model files lie below; `lock` is held for as long as the worker lives. */
  { type: 'start'; spec: PageSpec; base: string; lock: string } | { type: 'go'; id: number };
