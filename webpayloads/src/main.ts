/** The page's wiring. */
import './style.css';

import { Agent } from './agent';
import { Attempt } from './attempt';
import type { PageSpec } from './contract';
import { toPageErrors } from './errors';
import { RunRecord } from './record';
import type { RuntimeVersions } from './spec';
import { View } from './view';

declare const RUNTIME_VERSIONS: RuntimeVersions;

/** Each runtime is a worker script of its own: one that does not run is not downloaded. */
function spawn({ runtime }: PageSpec): Worker {
  switch (runtime) {
    case 'transformers.js':
      return new Worker(new URL('./worker/transformers_js.ts', import.meta.url), { name: 'transformers.js' });
    case 'mediapipe-llm':
      return new Worker(new URL('./worker/mediapipe_llm.ts', import.meta.url), { name: 'mediapipe-llm' });
    case 'litert-lm':
      return new Worker(new URL('./worker/litert_lm.ts', import.meta.url), { name: 'litert-lm' });
  }
}

const agent = new Agent(location, (input, init) => fetch(input, init));
const record = new RunRecord(agent.attempt, {
  user_agent: navigator.userAgent,
  cross_origin_isolated: crossOriginIsolated,
  hardware_concurrency: navigator.hardwareConcurrency,
  device_memory_gib: (navigator as { deviceMemory?: number }).deviceMemory ?? null,
});
const view = new View(document, record, agent.listens);
const attempt = new Attempt(agent, record, view);

window.addEventListener('error', (event) => {
  for (const error of toPageErrors(event.error ?? { message: event.message }, 'window-error', record.phase)) {
    attempt.hear(error);
  }
});
window.addEventListener('unhandledrejection', (event) => {
  for (const error of toPageErrors(event.reason, 'unhandled-rejection', record.phase)) attempt.hear(error);
});

attempt.run(RUNTIME_VERSIONS, spawn).then(
  () => {
    view.finish(null);
  },
  (reason: unknown) => {
    view.finish(reason);
  },
);
