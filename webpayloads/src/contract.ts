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
/**
 * Of the browser's caches when a model is loaded.
 */
export type CacheState = 'cold' | 'warm';
export type Backend = 'webgpu' | 'wasm';
export type JsonValue = unknown;
/**
 * What a model is for; it decides the workload.
 */
export type Task = 'text-generation' | 'text-classification' | 'feature-extraction' | 'fill-mask' | 'probe';
export type Weights = 'trained' | 'synthetic';
/**
 * How a workload's repetitions are organised.
 */
export type Protocol = 'standard' | 'sustained' | 'load';
/**
 * How a workload's repetitions are organised.
 */
export type Protocol1 = 'standard' | 'sustained' | 'load';
/**
 * How a workload's repetitions are organised.
 */
export type Protocol2 = 'standard' | 'sustained' | 'load';
/**
 * How a workload's repetitions are organised.
 */
export type Protocol3 = 'standard' | 'sustained' | 'load';

/**
 * The messages between a model page and the agent that serves it.
 */
export interface PageContract {
  CONTRACT_VERSION: 4;
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
  /**
   * @maxItems 2
   */
  loads?: LoadSample[];
  phase: Phase;
  phases_ms?: {
    [k: string]: number;
  };
  probe?: ProbeResult | null;
  user_agent_bytes?: number | null;
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
  /**
   * @maxItems 1000
   */
  chunk_ms?: number[];
  decode_ms: number;
  first_chunk_tokens?: number;
  source?: string;
  tokens_in: number;
  tokens_out: number;
  ttft_ms: number;
}
/**
 * Method: a ledger around `createBuffer`, `createTexture`, `destroy` and device loss, all devices together.
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
 * One loading of the model, from the first request to ready.
 */
export interface LoadSample {
  cache: CacheState;
  cache_bytes: number;
  load_ms: number;
  network_bytes: number;
}
/**
 * What a browser can do, found out in a second or two and without a model.
 */
export interface ProbeResult {
  download_bytes_per_second?: number | null;
  duration_ms: number;
  gpu_allocated_bytes?: number | null;
  gpu_allocation_note?: string;
  matrix_products?: MatrixProduct[];
  storage_quota_bytes?: number | null;
  storage_usage_bytes?: number | null;
  wasm: WasmFeatures;
}
/**
 * A micro-benchmark: `size` × `size` float32 matrices.
 */
export interface MatrixProduct {
  backend: Backend;
  gflops: number;
  samples_ms: number[];
  size: number;
}
/**
 * Found out by validating tiny modules.
 */
export interface WasmFeatures {
  exceptions: boolean;
  jspi: boolean;
  memory64: boolean;
  relaxed_simd: boolean;
  simd: boolean;
  threads: boolean;
}
/**
 * What the model said to the validation's question: raw, judged by the coordinator.
 */
export interface ValidationOutput {
  forced_ids?: number[];
  labels?: LabelScore[][];
  non_finite?: number;
  texts?: string[];
  vectors?: (number | null)[][];
}
export interface LabelScore {
  label: string;
  score: number;
}
/**
 * A run as the page sees it, frozen. Files lie at `model/<path>` below the page's own address.
 */
export interface PageSpec {
  attempt: string;
  backend: Backend;
  contract_version: number;
  files: ModelFile[];
  instruments: boolean;
  model: string;
  options: {
    [k: string]: JsonValue;
  };
  runtime: string;
  runtime_version: string;
  task: Task;
  validation: (TextValidation | EmbeddingValidation | LabelValidation) | null;
  variant: string;
  weights: Weights;
  workload:
    TextGenerationWorkload | TextClassificationWorkload | FeatureExtractionWorkload | FillMaskWorkload | ProbeWorkload;
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
  prompt_ids: number[] | null;
  reference_ids: number[] | null;
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
 * How labels are judged: of classes, or of the words that fill a mask.
 *
 * The best label of each text must be the reference's best, and every reference label's score within tolerance.
 */
export interface LabelValidation {
  check: 'labels';
  max_score_difference: number;
  reference: LabelScore[][];
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
  context_tokens: number;
  generated_tokens: number;
  prompt_tokens: number;
  protocol: Protocol;
  repetitions: number;
  task: 'text-generation';
  warmups: number;
}
/**
 * Labels of `batch` texts of `length` tokens each.
 */
export interface TextClassificationWorkload {
  batch: number;
  length: number;
  protocol: Protocol1;
  repetitions: number;
  task: 'text-classification';
  warmups: number;
}
/**
 * Embeddings of `batch` texts of `length` tokens each.
 */
export interface FeatureExtractionWorkload {
  batch: number;
  length: number;
  protocol: Protocol2;
  repetitions: number;
  task: 'feature-extraction';
  warmups: number;
}
/**
 * The missing word of `batch` texts of `length` tokens each, one mask in each.
 */
export interface FillMaskWorkload {
  batch: number;
  length: number;
  protocol: Protocol3;
  repetitions: number;
  task: 'fill-mask';
  warmups: number;
}
/**
 * What the browser can do, without a model; it takes a second or two and has no repetitions.
 */
export interface ProbeWorkload {
  task: 'probe';
}

/** Raised when a message changes in a way that an older peer cannot read. */
export const CONTRACT_VERSION = 4;
