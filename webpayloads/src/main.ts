/** The page's wiring. */
import './style.css';

import { Agent } from './agent';
import { Attempt } from './attempt';
import { toPageErrors } from './errors';
import { measurePage, type MeasuringPerformance } from './memory';
import { RunRecord } from './record';
import { RUNTIMES, startWorker } from './runtimes';
import { View } from './view';

const agent = new Agent(location, (input, init) => fetch(input, init));
const record = new RunRecord(agent.attempt, {
  user_agent: navigator.userAgent,
  cross_origin_isolated: crossOriginIsolated,
  hardware_concurrency: navigator.hardwareConcurrency,
  device_memory_gib: (navigator as { deviceMemory?: number }).deviceMemory ?? null,
});
const view = new View(document, record, agent.listens);
const attempt = new Attempt(agent, record, view, {
  startWorker,
  measureMemory: () => measurePage(performance as MeasuringPerformance, crossOriginIsolated),
});

window.addEventListener('error', (event) => {
  for (const error of toPageErrors(event.error ?? { message: event.message }, 'window-error', record.phase)) {
    attempt.hear(error);
  }
});
window.addEventListener('unhandledrejection', (event) => {
  for (const error of toPageErrors(event.reason, 'unhandled-rejection', record.phase)) attempt.hear(error);
});

attempt.run(RUNTIMES).then(
  () => {
    view.finish(null);
  },
  (reason: unknown) => {
    view.finish(reason);
  },
);
