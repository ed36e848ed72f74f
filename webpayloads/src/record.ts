/** What has come out so far: grows with every message, and is a complete report at any time. */
import type {
  GenerationSample,
  GpuAdapter,
  InferenceSample,
  PageEnvironment,
  PageError,
  PageReport,
  Phase,
  ValidationOutput,
} from './contract';
import type { Observed, Sample } from './messages';

const MOST_ERRORS = 50;
/** Places kept for what the run fails with, however much was heard before. */
const LAST_WORDS = 10;

/** What is known of the environment before anything has run. */
export type Browser = Omit<PageEnvironment, 'threads' | 'adapter'>;

export class RunRecord {
  attempt: string;
  phase: Phase = 'open';
  completed = false;
  readonly phasesMs: Partial<Record<Phase, number>> = {};
  readonly generations: GenerationSample[] = [];
  readonly inferences: InferenceSample[] = [];
  loadMs: number | null = null;
  firstInferenceMs: number | null = null;
  validation: ValidationOutput | null = null;
  adapter: GpuAdapter | null = null;
  threads: number | null = null;

  readonly #browser: Browser;
  readonly #heard: PageError[] = [];
  readonly #console: PageError[] = [];
  #lastWords: PageError[] = [];
  #observed: Observed = { gpu_memory: null, wasm_peak_bytes: null };

  constructor(attempt: string, browser: Browser) {
    this.attempt = attempt;
    this.#browser = browser;
  }

  observe(observed: Observed): void {
    this.#observed = observed;
  }

  add({ kind, sample }: Sample): void {
    if (kind === 'generation') this.generations.push(sample);
    else this.inferences.push(sample);
  }

  /** True when this is news: the same trouble may be heard by several ears, or a thousand times. */
  hear(error: PageError): boolean {
    const list = error.source === 'console' ? this.#console : this.#heard;
    const known = list.some((other) => other.source === error.source && other.message === error.message);
    if (known || list.length >= MOST_ERRORS - LAST_WORDS) return false;
    list.push(error);
    return true;
  }

  fail(errors: readonly PageError[]): void {
    this.completed = false;
    this.#lastWords = errors.slice(0, LAST_WORDS);
  }

  /** What was heard first comes first; what the console said counts only where the run failed. */
  get errors(): PageError[] {
    const failed = this.#lastWords.length > 0;
    const known = [...this.#heard.slice(0, MOST_ERRORS - LAST_WORDS), ...this.#lastWords];
    return [...known, ...(failed ? this.#console : [])].slice(0, MOST_ERRORS);
  }

  get report(): PageReport {
    return {
      attempt: this.attempt,
      completed: this.completed,
      phase: this.phase,
      errors: this.errors,
      environment: { ...this.#browser, threads: this.threads, adapter: this.adapter },
      load_ms: this.loadMs,
      first_inference_ms: this.firstInferenceMs,
      phases_ms: this.phasesMs,
      generation_samples: this.generations,
      inference_samples: this.inferences,
      validation: this.validation,
      ...this.#observed,
    };
  }
}
