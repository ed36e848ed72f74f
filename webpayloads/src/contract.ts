// Generated from the Pydantic contract by `npm run types`: change that, not this.

/**
 * Where an attempt is, in order.
 */
export type Phase =
  'prepare' | 'launch' | 'open' | 'download' | 'init' | 'warmup' | 'measure' | 'validate' | 'collect' | 'cleanup';
/**
 * By which of its many ears the page heard of an error.
 */
export type ErrorSource =
  | 'exception'
  | 'unhandled-rejection'
  | 'window-error'
  | 'worker-error'
  | 'gpu-error'
  | 'device-lost'
  | 'console'
  | 'watchdog';
/**
 * Of a page event. A `phase` event is posted before the phase begins: when a tab dies, the last one says where.
 */
export type EventKind = 'phase' | 'error' | 'note';
export type Backend = 'webgpu' | 'wasm';
export type JsonValue = unknown;
/**
 * The library in the page that runs the model.
 */
export type Runtime = 'transformers.js' | 'mediapipe-llm' | 'litert-lm';
/**
 * What a model is for; it decides the workload.
 */
export type Task = 'text-generation' | 'feature-extraction';
export type Weights = 'trained' | 'synthetic';

/**
 * The messages between a model page and the agent that serves it.
 */
export interface PageContract {
  CONTRACT_VERSION: 1;
  PageEvent: PageEvent;
  PageReport: PageReport;
  PageSpec: PageSpec;
}
/**
 * Posted while the page works, never inside a timed region.
 */
export interface PageEvent {
  at_ms: number;
  detail?: string;
  error?: PageError | null;
  kind: EventKind;
  phase: Phase;
  seq: number;
}
/**
 * An error as the page heard it, unclassified: the agent decides what it means.
 */
export interface PageError {
  message: string;
  name?: string;
  phase: Phase;
  source: ErrorSource;
  stack?: string;
}
/**
 * The page's last word. With an error, whatever was measured before it is still there.
 */
export interface PageReport {
  attempt: string;
  completed: boolean;
  environment: PageEnvironment;
  /**
   * @maxItems 50
   */
  errors?: PageError[];
  first_inference_ms?: number | null;
  /**
   * @maxItems 200
   */
  generation_samples?: GenerationSample[];
  gpu_memory?: GpuMemory | null;
  /**
   * @maxItems 2000
   */
  inference_samples?: InferenceSample[];
  js_heap_bytes?: number | null;
  load_ms?: number | null;
  phase: Phase;
  phases_ms?: {
    [k: string]: number;
  };
  validation?: ValidationOutput | null;
  wasm_peak_bytes?: number | null;
}
export interface PageEnvironment {
  adapter?: GpuAdapter | null;
  cross_origin_isolated: boolean;
  device_memory_gib?: number | null;
  hardware_concurrency: number;
  threads?: number | null;
  user_agent: string;
}
/**
 * `GPUAdapterInfo` as the browser reports it, with the limits that decide what fits.
 */
export interface GpuAdapter {
  architecture?: string | null;
  description?: string | null;
  device?: string | null;
  fallback?: boolean;
  features?: string[];
  limits?: {
    [k: string]: number;
  };
  vendor?: string | null;
}
/**
 * One generation.
 *
 * `decode_ms` runs from the first chunk to the last, and `first_chunk_tokens` came with the first chunk, so
 * decode speed is (tokens_out − first_chunk_tokens) / decode_ms.
 */
export interface GenerationSample {
  decode_ms: number;
  first_chunk_tokens?: number;
  source?: string;
  tokens_in: number;
  tokens_out: number;
  ttft_ms: number;
}
/**
 * The ledger around `createBuffer`, `createTexture`, `destroy`.
 */
export interface GpuMemory {
  buffers: number;
  largest_buffer_bytes: number;
  live_bytes: number;
  peak_bytes: number;
}
export interface InferenceSample {
  batch: number;
  latency_ms: number;
}
/**
 * What the model said to the validation's question: raw, judged by the coordinator.
 */
export interface ValidationOutput {
  texts?: string[];
  vectors?: (number | null)[][];
}
/**
 * A run as the page sees it, frozen. Files lie at `model/<path>` below the page's own address.
 */
export interface PageSpec {
  attempt: string;
  backend: Backend;
  contract_version: number;
  files: ModelFile[];
  model: string;
  options: {
    [k: string]: JsonValue;
  };
  runtime: Runtime;
  runtime_version: string;
  task: Task;
  validation: (TextValidation | EmbeddingValidation) | null;
  variant: string;
  weights: Weights;
  workload: TextGenerationWorkload | FeatureExtractionWorkload;
}
export interface ModelFile {
  bytes: number;
  path: string;
  sha256: string;
}
/**
 * How a generated text is judged. Every criterion that is set must hold.
 */
export interface TextValidation {
  check: 'text';
  expected_substring: string | null;
  max_tokens: number;
  min_agreement: number;
  prompt: string;
  reference_source: string | null;
  reference_text: string | null;
  repeatable: boolean;
}
/**
 * How embeddings are judged: cosine similarity of each text's vector with its reference.
 */
export interface EmbeddingValidation {
  check: 'embedding';
  min_cosine: number;
  reference: number[][];
  reference_source: string | null;
  /**
   * @minItems 1
   * @maxItems 16
   */
  texts: string[];
}
/**
 * `prompt_tokens` in, `generated_tokens` out, greedy: pp512/tg128 unless the job says otherwise.
 */
export interface TextGenerationWorkload {
  generated_tokens: number;
  prompt_tokens: number;
  repetitions: number;
  task: 'text-generation';
  warmups: number;
}
/**
 * Embeddings of `batch` texts of `length` tokens each.
 */
export interface FeatureExtractionWorkload {
  batch: number;
  length: number;
  repetitions: number;
  task: 'feature-extraction';
  warmups: number;
}

/** Raised when a message changes in a way that an older peer cannot read. */
export const CONTRACT_VERSION = 1;
