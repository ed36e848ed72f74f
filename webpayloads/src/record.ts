/** What has come out so far: grows with every message, and is a complete report at any time. */
import type {
  GenerationSample,
  GpuAdapter,
  InferenceSample,
  LoadSample,
  PageEnvironment,
  PageError,
  PageReport,
  Phase,
  ProbeResult,
  ValidationOutput,
} from './contract';
import { toPageErrors } from './errors';
import type { PageMemory } from './memory';
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
  readonly loads: LoadSample[] = [];
  firstInferenceMs: number | null = null;
  validation: ValidationOutput | null = null;
  probe: ProbeResult | null = null;
  memory: PageMemory | null = null;
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

  /** Keeps the largest seen: a run may have two workers, one after the other. */
  observe(observed: Observed): void {
    const before = this.#observed;
    const gpuBefore = before.gpu_memory?.peak_bytes ?? -1;
    this.#observed = {
      gpu_memory: (observed.gpu_memory?.peak_bytes ?? -1) < gpuBefore ? before.gpu_memory : observed.gpu_memory,
      wasm_peak_bytes: largest(before.wasm_peak_bytes, observed.wasm_peak_bytes),
    };
  }

  add({ kind, sample }: Sample): void {
    if (kind === 'generation') this.generations.push(sample);
    else this.inferences.push(sample);
  }

  /** True when this is news: the same trouble may be heard by several ears, or a thousand times. */
  hear(error: PageError): boolean {
    const list = error.source === 'console' ? this.#console : this.#heard;
    const known = list.some((other) => isSame(other, error));
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
    const news = this.#lastWords.filter((last) => !this.#heard.some((error) => isSame(error, last)));
    const known = [...this.#heard, ...news];
    return [...known, ...(failed ? this.#console : [])].slice(0, MOST_ERRORS);
  }

  get report(): PageReport {
    return {
      attempt: this.attempt,
      completed: this.completed,
      phase: this.phase,
      errors: this.errors,
      environment: { ...this.#browser, threads: this.threads, adapter: this.adapter },
      load_ms: this.loads[0]?.load_ms ?? null,
      first_inference_ms: this.firstInferenceMs,
      phases_ms: this.phasesMs,
      generation_samples: this.generations,
      inference_samples: this.inferences,
      loads: this.loads,
      probe: this.probe,
      validation: this.validation,
      user_agent_bytes: this.memory?.user_agent_bytes ?? null,
      js_heap_bytes: this.memory?.js_heap_bytes ?? null,
      ...this.#observed,
    };
  }

  /** What is left to say when the agent could not read the report: why, and in which phase the page was. */
  bareReport(reason: unknown): PageReport {
    return {
      attempt: this.attempt,
      completed: false,
      phase: this.phase,
      errors: toPageErrors(reason, 'exception', this.phase),
      environment: { ...this.#browser, threads: null, adapter: null },
    };
  }
}

function isSame(one: PageError, other: PageError): boolean {
  return one.source === other.source && one.message === other.message;
}

function largest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.max(one, other);
}
