/** Page and worker together, as they talk to the agent: in one process, with an adapter made for the purpose. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Agent } from '../src/agent';
import { Attempt } from '../src/attempt';
import { CONTRACT_VERSION, type PageEvent, type PageReport, type PageSpec } from '../src/contract';
import type { FromWorker, Start, ToWorker } from '../src/messages';
import { RunRecord } from '../src/record';
import type { RuntimeAdapter } from '../src/runtime';
import type { Runtimes } from '../src/runtimes';
import { Hearing } from '../src/worker/hearing';
import { Host } from '../src/worker/host';
import { ModelCourse } from '../src/worker/model_course';

const ADDRESS = 'http://localhost:1/run/run-1.1/#key=secret';
const RUNTIMES: Runtimes = {
  'transformers.js': {
    tasks: ['feature-extraction'],
    backends: ['wasm', 'webgpu'],
    files: 'many',
    versions: { '4.3.1': 'package' },
  },
};
const WORKLOAD = {
  task: 'feature-extraction',
  protocol: 'standard',
  batch: 1,
  length: 8,
  warmups: 1,
  repetitions: 2,
} as const satisfies PageSpec['workload'];
const SPEC: PageSpec = {
  contract_version: CONTRACT_VERSION,
  attempt: 'run-1.1',
  variant: 'tiny.q8',
  model: 'Tiny',
  weights: 'synthetic',
  runtime: 'transformers.js',
  runtime_version: '4.3.1',
  backend: 'wasm',
  task: 'feature-extraction',
  options: {},
  files: [{ path: 'model.onnx', sha256: 'a'.repeat(64), bytes: 4 }],
  workload: WORKLOAD,
  validation: { check: 'embedding', texts: ['x'], reference: [[1]], reference_source: null, min_cosine: 0.9 },
  instruments: true,
};

/** What happened, in order: the agent's messages and the adapter's calls. */
let log: string[];
let events: PageEvent[];
let reports: PageReport[];
let statuses: Record<string, number>;
let spec: PageSpec;
/** Cache Storage: the entries of each cache. */
let kept: Map<string, Map<string, Response>>;
let adapter: RuntimeAdapter;
let grantLock: () => void;
let record: RunRecord;

function fakeAgent(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const address = new URL(input as string).pathname.replace('/run/run-1.1/', '');
  const status = statuses[address] ?? 200;
  if (address === 'spec') return Promise.resolve(Response.json(spec, { status }));
  expect(new Headers(init?.headers).get('X-Attempt-Key')).toBe('secret');
  const message: unknown = JSON.parse(init?.body as string);
  if (address === 'events') {
    const event = message as PageEvent;
    events.push(event);
    log.push(event.kind === 'note' ? 'note' : `${event.kind} ${event.detail}`);
  } else {
    reports.push(message as PageReport);
    log.push('report');
  }
  return Promise.resolve(new Response(null, { status: status === 200 ? 204 : status }));
}

/** A worker in the same thread; its messages are copied as real ones are. */
class FakeWorker extends EventTarget {
  readonly instruments: boolean;
  readonly #host: Host;
  readonly hearing = new Hearing((error) => {
    this.#say({ type: 'heard', error });
  });
  terminated = false;
  started: Start | null = null;

  constructor(instruments: boolean) {
    super();
    this.instruments = instruments;
    const observe = () => ({ gpu_memory: null, wasm_peak_bytes: 65_536 });
    this.#host = new Host(new ModelCourse(adapter, 'http://localhost:1/assets/'), {
      hearing: this.hearing,
      observe,
      send: (message) => {
        this.#say(message);
      },
    });
    queueMicrotask(() => {
      this.#say({ type: 'started' });
      this.#say({ type: 'locked' });
    });
  }

  postMessage(message: ToWorker): void {
    if (message.type === 'start') this.started = message;
    this.#host.receive(structuredClone(message));
  }

  terminate(): void {
    this.terminated = true;
  }

  #say(message: FromWorker): void {
    this.dispatchEvent(new MessageEvent('message', { data: structuredClone(message) }));
  }
}

beforeEach(() => {
  [log, events, reports, workers, statuses] = [[], [], [], [], {}];
  kept = new Map();
  spec = structuredClone(SPEC);
  record = new RunRecord('run-1.1', { user_agent: 'test', cross_origin_isolated: true, hardware_concurrency: 2 });
  adapter = {
    init: vi.fn(() => {
      log.push('init');
      return Promise.resolve({ threads: 2 });
    }),
    prepare: vi.fn(() => {
      log.push('prepare');
      return Promise.resolve();
    }),
    run: vi.fn(() => {
      log.push('run');
      return Promise.resolve({ kind: 'inference' as const, sample: { latency_ms: 5, batch: 1 } });
    }),
    validate: vi.fn(() => {
      log.push('validate');
      return Promise.resolve({ vectors: [[1, null]] });
    }),
    dispose: vi.fn(() => {
      log.push('dispose');
      return Promise.resolve();
    }),
  };
  vi.stubGlobal('caches', {
    open: (name: string) => {
      const entries = kept.get(name) ?? new Map<string, Response>();
      kept.set(name, entries);
      return Promise.resolve({
        put: (url: string, response: Response) => Promise.resolve(void entries.set(url, response)),
        match: (url: string) => Promise.resolve(entries.get(url)?.clone()),
      });
    },
    delete: (name: string) => Promise.resolve(kept.delete(name)),
  });
  vi.stubGlobal('fetch', () => Promise.resolve(new Response('body')));
  vi.stubGlobal('navigator', {
    locks: {
      request: (_name: string, _options: object, granted: () => void) => {
        if (workers.at(-1)?.terminated === true) {
          log.push('gone');
          return Promise.resolve();
        }
        return new Promise<void>(() => {
          grantLock = granted;
        });
      },
    },
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** The workers of the run that is under way, or was last. */
let workers: FakeWorker[];

async function run(address = ADDRESS): Promise<void> {
  const location = new URL(address);
  const agent = new Agent({ href: location.href, hash: location.hash }, fakeAgent);
  const watcher = { spec: vi.fn(), progress: vi.fn(), changed: vi.fn() };
  await new Attempt(agent, record, watcher, {
    startWorker: (_base, { instruments }) => {
      const worker = new FakeWorker(instruments);
      workers.push(worker);
      return worker as unknown as Worker;
    },
    measureMemory: () => {
      log.push('memory');
      return Promise.resolve({ user_agent_bytes: 7_000, js_heap_bytes: 1_000 });
    },
  }).run(RUNTIMES);
}

test('the agent hears of each phase before it begins, and of results before what comes next', async () => {
  await run();
  // Another repetition is told of only where half a second has gone by.
  const second = log.lastIndexOf('run') + 1;
  expect(log.filter((word, index) => index !== second || word !== 'note')).toEqual([
    'phase open',
    'phase download',
    'init',
    'phase init',
    'note',
    'phase warmup',
    'prepare',
    'run',
    'note',
    'phase measure',
    'run',
    'note',
    'run',
    'memory',
    'phase validate',
    'validate',
    'note',
    'dispose',
    'report',
  ]);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index));
  expect(workers.map((worker) => worker.terminated)).toEqual([true]);
});

test('a complete run is reported with everything that was measured', async () => {
  await run();
  expect(reports).toHaveLength(1);
  expect(reports[0]).toMatchObject({
    attempt: 'run-1.1',
    completed: true,
    phase: 'validate',
    errors: [],
    inference_samples: [
      { latency_ms: 5, batch: 1 },
      { latency_ms: 5, batch: 1 },
    ],
    generation_samples: [],
    validation: { vectors: [[1, null]] },
    wasm_peak_bytes: 65_536,
    js_heap_bytes: 1_000,
    user_agent_bytes: 7_000,
    loads: [{ cache: 'cold', network_bytes: 0, cache_bytes: 0 }],
    environment: { user_agent: 'test', threads: 2, adapter: null },
  });
  expect(Object.keys(reports[0]?.phases_ms ?? {})).toEqual([
    'open',
    'download',
    'init',
    'warmup',
    'measure',
    'validate',
  ]);
  expect(reports[0]?.load_ms).toBeGreaterThan(0);
  expect(reports[0]?.load_ms).toBe(reports[0]?.loads?.[0]?.load_ms);
});

test('without warm-ups the workload is prepared in the measuring phase', async () => {
  spec.workload = { ...WORKLOAD, warmups: 0, repetitions: 1 };
  await run();
  expect(log.slice(log.indexOf('phase measure'), log.indexOf('phase validate'))).toEqual([
    'phase measure',
    'prepare',
    'run',
    'note',
    'memory',
  ]);
  expect(reports[0]?.first_inference_ms).toBeNull();
});

test('a failure is reported with what was measured before it', async () => {
  vi.mocked(adapter.validate).mockRejectedValue([{ message: 'first' }, { message: 'second' }]);
  await run();
  expect(reports[0]).toMatchObject({
    completed: false,
    phase: 'validate',
    errors: [
      { source: 'exception', phase: 'validate', message: 'first' },
      { source: 'exception', phase: 'validate', message: 'second' },
    ],
  });
  expect(reports[0]?.inference_samples).toHaveLength(2);
  expect(log.slice(-3)).toEqual(['error first', 'error second', 'report']);
});

test('a call that never settles fails with what was heard', async () => {
  vi.useFakeTimers();
  vi.mocked(adapter.init).mockReturnValue(new Promise(() => undefined));
  const done = run();
  await vi.waitFor(() => {
    expect(adapter.init).toHaveBeenCalled();
  });
  workers[0]?.hearing.hear({ message: 'INFO-like noise' }, 'console', false);
  workers[0]?.hearing.hear({ message: 'unknown: gone' }, 'device-lost', true);
  await vi.runAllTimersAsync();
  await done;
  expect(reports[0]?.errors?.map((error) => error.source)).toEqual(['device-lost', 'watchdog', 'console']);
});

test('a worker that dies is noticed', async () => {
  vi.mocked(adapter.run).mockReturnValue(new Promise(() => undefined));
  const done = run();
  await vi.waitFor(() => {
    expect(adapter.run).toHaveBeenCalled();
  });
  grantLock();
  await done;
  expect(reports[0]).toMatchObject({
    completed: false,
    phase: 'warmup',
    errors: [{ source: 'worker-error', message: 'the worker died without a word' }],
  });
});

test('a runtime that hangs while it is closed has done its work', async () => {
  vi.useFakeTimers();
  vi.mocked(adapter.dispose).mockReturnValue(new Promise(() => undefined));
  const done = run();
  await vi.waitFor(() => {
    expect(adapter.dispose).toHaveBeenCalled();
  });
  await vi.runAllTimersAsync();
  await done;
  expect(reports[0]).toMatchObject({ completed: true, errors: [] });
});

test('a spec that cannot be read is reported under the name in the address', async () => {
  statuses = { spec: 500 };
  await run();
  expect(adapter.init).not.toHaveBeenCalled();
  expect(reports[0]).toMatchObject({
    attempt: 'run-1.1',
    completed: false,
    phase: 'open',
    errors: [{ name: 'PageFault', message: 'the spec could not be read: HTTP 500' }],
  });
});

test('a phase that the agent does not hear of does not begin', async () => {
  statuses = { events: 409, report: 409 };
  await expect(run()).rejects.toThrow('the agent refused a message to report: HTTP 409');
  expect(adapter.init).not.toHaveBeenCalled();
});

test('opened by hand, the page runs and posts nothing', async () => {
  await run('http://localhost:1/run/run-1.1/');
  expect(log.filter((line) => line === 'run')).toHaveLength(3);
  expect([events, reports]).toEqual([[], []]);
  expect(record.report).toMatchObject({ completed: true, attempt: 'run-1.1' });
});

test('WebGPU is looked for before anything is downloaded', async () => {
  spec.backend = 'webgpu';
  await run();
  expect(log).toEqual(['phase open', 'error navigator.gpu is undefined', 'report']);
});

test('the same trouble is told once, and never more often than a report holds', () => {
  const error = { source: 'gpu-error' as const, phase: 'init' as const, message: 'same' };
  expect([record.hear(error), record.hear(error)]).toEqual([true, false]);
  for (let index = 0; index < 100; index += 1) record.hear({ ...error, message: String(index) });
  for (let index = 0; index < 100; index += 1) record.hear({ ...error, source: 'console', message: String(index) });
  record.fail([{ ...error, message: 'last words' }]);
  const { errors } = record.report;
  expect(errors).toHaveLength(50);
  expect(errors?.map((each) => each.message)).toContain('last words');
});

/** An adapter that reads the model's file, as real ones do. */
function readingInit(): void {
  vi.mocked(adapter.init).mockImplementation(async (_spec, { files }) => {
    log.push(`read ${await new Response(await files.stream('model.onnx')).text()}`);
    return { threads: 2 };
  });
}

test('the protocol load takes one worker for the network and one for the cache', async () => {
  spec.workload = { ...WORKLOAD, protocol: 'load', warmups: 0, repetitions: 1 };
  readingInit();
  await run();
  expect(log).toEqual([
    'phase open',
    'phase download',
    'note',
    'phase init',
    'read body',
    'note',
    'dispose',
    'gone',
    'note',
    'read body',
    'note',
    'phase measure',
    'prepare',
    'run',
    'note',
    'memory',
    'phase validate',
    'validate',
    'note',
    'dispose',
    'report',
  ]);
  expect(workers.map((worker) => [worker.started?.cache, worker.terminated])).toEqual([
    ['fill', true],
    ['read', true],
  ]);
  expect(workers[0]?.started?.lock).not.toBe(workers[1]?.started?.lock);
  expect(reports[0]).toMatchObject({
    completed: true,
    loads: [
      { cache: 'cold', network_bytes: 4, cache_bytes: 0 },
      { cache: 'warm', network_bytes: 0, cache_bytes: 4 },
    ],
  });
  expect(reports[0]?.load_ms).toBe(reports[0]?.loads?.[0]?.load_ms);
  // A second loading begins no phase again: a death in it is found by the last note.
  const again = events.findIndex((event) => event.detail?.startsWith('loading again'));
  expect(events[again]).toMatchObject({ kind: 'note', phase: 'init' });
  expect(events.slice(again).filter((event) => event.kind === 'phase').map((event) => event.phase)).toEqual([
    'measure',
    'validate',
  ]);
  // Nothing is left behind on the device.
  expect(kept.size).toBe(0);
});

test('a cache that is full fails the run in its own words', async () => {
  spec.workload = { ...WORKLOAD, protocol: 'load' };
  readingInit();
  const full = new DOMException('Quota exceeded.', 'QuotaExceededError');
  vi.stubGlobal('caches', { open: () => Promise.resolve({ put: () => Promise.reject(full) }), delete: vi.fn() });
  await run();
  expect(workers).toHaveLength(1);
  expect(reports[0]).toMatchObject({
    completed: false,
    phase: 'init',
    loads: [{ cache: 'cold', network_bytes: 4 }],
    errors: [{ source: 'exception', name: 'QuotaExceededError', message: 'Quota exceeded.' }],
  });
});

test('nothing is said while a repetition runs, and short ones are not all told of', async () => {
  spec.workload = { ...WORKLOAD, protocol: 'sustained', repetitions: 20 };
  vi.mocked(adapter.run).mockImplementation(async () => {
    log.push('begin');
    await new Promise((resolve) => setTimeout(resolve, 1));
    log.push('end');
    return { kind: 'inference', sample: { latency_ms: 1, batch: 1 } };
  });
  await run();
  const measured = log.slice(log.indexOf('phase measure') + 1, log.indexOf('memory'));
  expect(measured.slice(0, 3)).toEqual(['begin', 'end', 'note']);
  expect(measured.filter((word) => word !== 'note')).toEqual(Array.from({ length: 20 }, () => ['begin', 'end']).flat());
  expect(measured.filter((word, index) => word === 'note' && measured[index - 1] === 'begin')).toEqual([]);
  expect(reports[0]?.inference_samples).toHaveLength(20);
});

test('without instruments the agent hears nothing but the report', async () => {
  spec.instruments = false;
  await run();
  expect(workers.map((worker) => worker.instruments)).toEqual([false]);
  expect([events, log.includes('memory')]).toEqual([[], false]);
  expect(reports[0]).toMatchObject({ completed: true, user_agent_bytes: null });
  expect(reports[0]?.inference_samples).toHaveLength(2);
});

test('a repetition that was not measured fails the run', async () => {
  vi.mocked(adapter.run).mockResolvedValue({ kind: 'inference', sample: { latency_ms: Number.NaN, batch: 1 } });
  await run();
  expect(reports[0]).toMatchObject({
    completed: false,
    phase: 'measure',
    errors: [{ message: 'the runtime measured latency_ms as NaN' }],
  });
});

test('values that JSON has no word for are counted, not sent', async () => {
  vi.mocked(adapter.validate).mockResolvedValue({ vectors: [[1, Number.NaN, Number.POSITIVE_INFINITY]] });
  await run();
  expect(reports[0]?.validation).toMatchObject({ vectors: [[1, null, null]], non_finite: 2 });
});

test('a report that the agent cannot read is followed by a bare one that says so', async () => {
  statuses = { report: 422 };
  await expect(run()).rejects.toThrow('the agent refused a message to report: HTTP 422');
  expect(reports).toHaveLength(2);
  expect(reports[1]).toMatchObject({
    attempt: 'run-1.1',
    completed: false,
    phase: 'validate',
    errors: [{ name: 'PageFault', message: expect.stringMatching(/^the agent could not read the report: HTTP 422/) as string }],
  });
  expect(reports[1]?.inference_samples).toBeUndefined();
});
