import { expect, test } from 'vitest';

import { CONTRACT_VERSION, type PageSpec } from '../src/contract';
import { PageFault } from '../src/errors';
import { choiceOf, maxTokensOf } from '../src/options';
import type { Runtimes } from '../src/runtimes';
import { checkSpec } from '../src/spec';

const RUNTIMES: Runtimes = {
  'transformers.js': {
    tasks: ['text-generation', 'text-classification', 'feature-extraction', 'fill-mask'],
    backends: ['wasm', 'webgpu'],
    files: 'many',
    versions: { '4.3.1': 'package' },
  },
  'mediapipe-llm': { tasks: ['text-generation'], backends: ['webgpu'], files: 'many', versions: { '0.10.29': 'p' } },
  'litert-lm': {
    tasks: ['text-generation'],
    backends: ['wasm', 'webgpu'],
    files: 'one',
    versions: { '0.17.1': 'new', '0.16.0': 'old' },
  },
  probe: { tasks: ['probe'], backends: ['wasm'], files: 'none', versions: { '1': null } },
};

const FILE = { path: 'onnx/model.onnx', sha256: 'a'.repeat(64), bytes: 10 };
const SPEC: PageSpec = {
  contract_version: CONTRACT_VERSION,
  attempt: 'run-1.1',
  variant: 'tiny.q8',
  model: 'Tiny',
  weights: 'trained',
  runtime: 'transformers.js',
  runtime_version: '4.3.1',
  backend: 'wasm',
  task: 'text-generation',
  options: { dtype: 'q8' },
  files: [FILE],
  workload: {
    task: 'text-generation',
    protocol: 'standard',
    prompt_tokens: 32,
    generated_tokens: 16,
    context_tokens: 0,
    warmups: 1,
    repetitions: 2,
  },
  validation: null,
  instruments: true,
};

test('a good spec passes unchanged', () => {
  expect(checkSpec(SPEC, RUNTIMES)).toBe(SPEC);
});

test.each([
  [
    { contract_version: CONTRACT_VERSION + 1 },
    new RegExp(`contract_version is ${CONTRACT_VERSION + 1}; this page speaks ${CONTRACT_VERSION}`),
  ],
  [{ runtime: 'webllm' }, /runtime is "webllm"; this page has transformers.js, mediapipe-llm, litert-lm, probe/],
  [{ runtime: 'toString' }, /runtime is "toString"/],
  [{ runtime_version: '4.3.0' }, /runtime_version is "4.3.0"; this page carries transformers.js 4.3.1/],
  [{ runtime: 'mediapipe-llm', runtime_version: '0.10.29' }, /backend is "wasm"; mediapipe-llm has webgpu/],
  [
    { runtime: 'litert-lm', runtime_version: '0.17.1', task: 'feature-extraction' },
    /task is "feature-extraction"; this page's litert-lm does text-generation/,
  ],
  [{ task: 'feature-extraction' }, /workload is for "text-generation", but task is "feature-extraction"/],
  [{ validation: { check: 'embedding' } }, /validation checks "embedding"; text-generation needs "text"/],
  [{ files: [] }, /files is empty/],
  [{ attempt: undefined }, /attempt is not a text/],
  [{ files: { path: 'a' } }, /files is not a list/],
  [{ workload: null }, /workload is not an object/],
  [{ validation: [] }, /validation is not an object or null/],
  [{ instruments: 'on' }, /instruments is not true or false/],
  [{ workload: { ...SPEC.workload, protocol: 'marathon' } }, /workload.protocol is "marathon"; this page knows standard, sustained, load/],
  [
    { runtime: 'litert-lm', runtime_version: '0.17.1', files: [FILE, FILE] },
    /files has 2 entries; litert-lm takes a single file/,
  ],
])('%j is refused', (change, message) => {
  expect(() => checkSpec({ ...SPEC, ...change }, RUNTIMES)).toThrow(message);
});

test('a probe needs no files, and every version of a runtime is known', () => {
  const probe = { ...SPEC, runtime: 'probe', runtime_version: '1', task: 'probe', workload: { task: 'probe' }, files: [] };
  expect(checkSpec(probe, RUNTIMES)).toBe(probe);
  const older = { ...SPEC, runtime: 'litert-lm', runtime_version: '0.16.0' };
  expect(checkSpec(older, RUNTIMES)).toBe(older);
});

test.each([null, 'spec', 7, []])('%j is no spec', (received) => {
  expect(() => checkSpec(received, RUNTIMES)).toThrow(PageFault);
});

test('options are read, or refused by name', () => {
  const withOptions = (options: PageSpec['options']): PageSpec => ({ ...SPEC, options });
  expect(maxTokensOf(withOptions({ max_tokens: 1024 }))).toBe(1024);
  expect(maxTokensOf(withOptions({}))).toBeNull();
  expect(() => maxTokensOf(withOptions({ max_tokens: -1 }))).toThrow('options.max_tokens is -1');
  expect(choiceOf(SPEC, 'dtype', ['fp32', 'q8'], 'fp32')).toBe('q8');
  expect(choiceOf(withOptions({}), 'dtype', ['fp32', 'q8'], 'fp32')).toBe('fp32');
  expect(() => choiceOf(SPEC, 'dtype', ['fp32'], 'fp32')).toThrow('options.dtype is "q8"; allowed are fp32');
});
