/** Reads the frozen spec of a run, and refuses what this page cannot do. */
import { CONTRACT_VERSION, type Backend, type PageSpec, type Runtime, type Task } from './contract';
import { PageFault } from './errors';

const ABILITIES: Record<Runtime, { tasks: readonly Task[]; backends: readonly Backend[]; files: 'one' | 'many' }> = {
  'transformers.js': { tasks: ['text-generation', 'feature-extraction'], backends: ['wasm', 'webgpu'], files: 'many' },
  'mediapipe-llm': { tasks: ['text-generation'], backends: ['webgpu'], files: 'one' },
  'litert-lm': { tasks: ['text-generation'], backends: ['wasm', 'webgpu'], files: 'one' },
};

/** The versions that this build carries; a run pins one, and another one would be another measurement. */
export type RuntimeVersions = Readonly<Record<Runtime, string>>;

/** @throws PageFault naming the field and what is allowed. */
export function checkSpec(received: unknown, versions: RuntimeVersions): PageSpec {
  if (typeof received !== 'object' || received === null) {
    throw new PageFault('the spec is not a JSON object');
  }
  const spec = received as PageSpec;
  const version: number = spec.contract_version;
  if (version !== CONTRACT_VERSION) {
    throw new PageFault(`contract_version is ${version}; this page speaks ${CONTRACT_VERSION}`);
  }
  if (!Object.hasOwn(ABILITIES, spec.runtime)) {
    throw new PageFault(`runtime is "${spec.runtime}"; this page has ${Object.keys(ABILITIES).join(', ')}`);
  }
  const able = ABILITIES[spec.runtime];
  const carried = versions[spec.runtime];
  if (spec.runtime_version !== carried) {
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
  const check = spec.task === 'text-generation' ? 'text' : 'embedding';
  if (spec.validation !== null && spec.validation.check !== check) {
    throw new PageFault(`validation checks "${spec.validation.check}"; ${spec.task} needs "${check}"`);
  }
  if (spec.files.length === 0) {
    throw new PageFault('files is empty: the variant has not been built');
  }
  if (able.files === 'one' && spec.files.length !== 1) {
    throw new PageFault(`files has ${spec.files.length} entries; ${spec.runtime} takes a single file`);
  }
  return spec;
}
