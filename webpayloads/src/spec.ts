/** Reads the frozen spec of a run, and refuses what this page cannot do. */
import { CONTRACT_VERSION, type PageSpec, type Protocol, type Task } from './contract';
import { PageFault } from './errors';
import type { Runtimes } from './runtimes';

const CHECKS: Partial<Record<Task, string>> = {
  'text-generation': 'text',
  'text-classification': 'labels',
  'fill-mask': 'labels',
  'feature-extraction': 'embedding',
};

const PROTOCOLS: readonly Protocol[] = ['standard', 'sustained', 'load'];

/** @throws PageFault naming the field and what is allowed. */
export function checkSpec(received: unknown, runtimes: Runtimes): PageSpec {
  if (typeof received !== 'object' || received === null || Array.isArray(received)) {
    throw new PageFault('the spec is not a JSON object');
  }
  const spec = received as PageSpec;
  const version: number = spec.contract_version;
  if (version !== CONTRACT_VERSION) {
    throw new PageFault(`contract_version is ${version}; this page speaks ${CONTRACT_VERSION}`);
  }
  requireShape(spec);
  const able = Object.hasOwn(runtimes, spec.runtime) ? runtimes[spec.runtime] : undefined;
  if (able === undefined) {
    throw new PageFault(`runtime is "${spec.runtime}"; this page has ${Object.keys(runtimes).join(', ')}`);
  }
  if (!Object.hasOwn(able.versions, spec.runtime_version)) {
    const carried = Object.keys(able.versions).join(', ');
    throw new PageFault(`runtime_version is "${spec.runtime_version}"; this page carries ${spec.runtime} ${carried}`);
  }
  if (!able.backends.includes(spec.backend)) {
    throw new PageFault(`backend is "${spec.backend}"; ${spec.runtime} has ${able.backends.join(', ')}`);
  }
  if (!able.tasks.includes(spec.task)) {
    throw new PageFault(`task is "${spec.task}"; this page's ${spec.runtime} does ${able.tasks.join(', ')}`);
  }
  if (spec.workload.task !== spec.task) {
    throw new PageFault(`workload is for "${spec.workload.task}", but task is "${spec.task}"`);
  }
  if (spec.workload.task !== 'probe' && !PROTOCOLS.includes(spec.workload.protocol)) {
    throw new PageFault(`workload.protocol is "${spec.workload.protocol}"; this page knows ${PROTOCOLS.join(', ')}`);
  }
  const check = CHECKS[spec.task];
  if (spec.validation !== null && spec.validation.check !== check) {
    throw new PageFault(`validation checks "${spec.validation.check}"; ${spec.task} needs "${check ?? 'none'}"`);
  }
  if (spec.files.length === 0 && able.files !== 'none') {
    throw new PageFault('files is empty: the variant has not been built');
  }
  if (able.files === 'one' && spec.files.length !== 1) {
    throw new PageFault(`files has ${spec.files.length} entries; ${spec.runtime} takes a single file`);
  }
  return spec;
}

/** What the rest of the page reads without looking. @throws PageFault */
function requireShape(spec: PageSpec): void {
  const { attempt, model, files, options, workload, validation, instruments } = spec as Record<keyof PageSpec, unknown>;
  const shapes: [name: string, fits: boolean, allowed: string][] = [
    ['attempt', typeof attempt === 'string', 'a text'],
    ['model', typeof model === 'string', 'a text'],
    ['files', Array.isArray(files), 'a list'],
    ['options', isObject(options), 'an object'],
    ['workload', isObject(workload), 'an object'],
    ['validation', validation === null || isObject(validation), 'an object or null'],
    ['instruments', typeof instruments === 'boolean', 'true or false'],
  ];
  for (const [name, fits, allowed] of shapes) {
    if (!fits) throw new PageFault(`the spec’s ${name} is not ${allowed}`);
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
