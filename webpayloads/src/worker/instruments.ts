/**
 * Everything that must be in place before a runtime's first line: imported first by each worker. What costs time or
 * memory is left out where the worker's address says so.
 */
import { toPageErrors } from '../errors';
import type { FromWorker, Observed } from '../messages';
import { isInstrumented } from '../runtimes';
import { GpuLedger, watchGpu } from './gpu_ledger';
import { Hearing } from './hearing';
import { WasmMemories, watchWasm } from './wasm_memory';

export function send(message: FromWorker): void {
  self.postMessage(message);
}

export const hearing = new Hearing((error) => {
  send({ type: 'heard', error });
});

const measuring = isInstrumented(self.location);
const ledger = new GpuLedger();
const memories = new WasmMemories();

export function observe(): Observed {
  return { gpu_memory: ledger.memory, wasm_peak_bytes: memories.peakBytes };
}

if (measuring) watchWasm(WebAssembly, memories);
if (measuring && 'gpu' in navigator) {
  watchGpu(self, ledger, {
    adapter(adapter) {
      send({ type: 'adapter', adapter });
    },
    lost(info) {
      hearing.hear({ message: `${info.reason}: ${info.message}` }, 'device-lost', true);
    },
    uncaptured(error) {
      hearing.hear(error, 'gpu-error', true);
    },
  });
}

self.addEventListener('unhandledrejection', (event) => {
  hearing.hear(event.reason, 'unhandled-rejection', true);
});
self.addEventListener('error', (event) => {
  hearing.hear(event.error ?? { message: event.message }, 'worker-error', true);
});

/** How C++ runtimes mark what is no error, in the style of absl or of TensorFlow Lite. */
const NO_ERROR = /^(INFO|WARNING|VERBOSE|DEBUG)\b|^[IWV]\d{4} /;

const logError = console.error.bind(console);
console.error = (...words: unknown[]) => {
  // Not mortal: some runtimes log everything this way. The page keeps it for runs that fail.
  const texts = words.map((word) =>
    typeof word === 'string' ? word : toPageErrors(word, 'console', hearing.phase)[0]?.message,
  );
  const message = texts.join(' ');
  if (!NO_ERROR.test(message)) hearing.hear({ message }, 'console', false);
  logError(...words);
};
