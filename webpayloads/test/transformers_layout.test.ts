import { describe, expect, test } from 'vitest';

import { ModelFault } from '../src/errors';
import { DTYPES, requireCompanions, requireWeights, weightFiles } from '../src/worker/transformers_js/layout';

const COMPANIONS = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];

function files(...paths: string[]): { path: string; sha256: string; bytes: number }[] {
  return paths.map((path) => ({ path, sha256: 'a'.repeat(64), bytes: 1 }));
}

function config(external: unknown): object {
  return { 'transformers.js_config': { use_external_data_format: external } };
}

describe('the weights of a dtype', () => {
  test.each([
    ['fp32', 'model.onnx'],
    ['fp16', 'model_fp16.onnx'],
    ['q8', 'model_quantized.onnx'],
    ['int8', 'model_int8.onnx'],
    ['uint8', 'model_uint8.onnx'],
    ['q4', 'model_q4.onnx'],
    ['q4f16', 'model_q4f16.onnx'],
    ['bnb4', 'model_bnb4.onnx'],
  ] as const)('%s lies in %s', (dtype, name) => {
    expect(weightFiles(dtype, {})).toEqual([`onnx/${name}`]);
    expect(DTYPES).toContain(dtype);
  });

  test.each([
    ['nothing', undefined, 0],
    ['yes', true, 1],
    ['no', false, 0],
    ['a number for all files', 3, 3],
    ['this file', { 'model_q4.onnx': 2 }, 2],
    ['the model of any dtype', { model: true }, 1],
    ['another file', { 'model.onnx': 4 }, 0],
  ])('external data: %s', (_, said, chunks) => {
    const names = ['onnx/model_q4.onnx_data', 'onnx/model_q4.onnx_data_1', 'onnx/model_q4.onnx_data_2'];
    expect(weightFiles('q4', config(said))).toEqual(['onnx/model_q4.onnx', ...names.slice(0, chunks)]);
  });
});

describe('what a variant lacks', () => {
  test('is nothing when all is there', () => {
    const all = files(...COMPANIONS, 'onnx/model.onnx', 'onnx/model.onnx_data');
    expect(() => { requireCompanions(all); }).not.toThrow();
    expect(() => { requireWeights(all, 'fp32', config(true)); }).not.toThrow();
  });

  test.each(COMPANIONS)('%s', (missing) => {
    const rest = files(...COMPANIONS.filter((path) => path !== missing));
    expect(() => { requireCompanions(rest); }).toThrow(ModelFault);
    expect(() => { requireCompanions(rest); }).toThrow(`lacks ${missing} (`);
  });

  test('the dtype that is asked for', () => {
    expect(() => { requireWeights(files('onnx/model_q4.onnx'), 'q8', {}); }).toThrow(
      /lacks onnx\/model_quantized\.onnx, which dtype q8 needs, and has onnx\/model_q4\.onnx/,
    );
  });

  test('one of several chunks', () => {
    const some = files('onnx/model.onnx', 'onnx/model.onnx_data', 'onnx/model.onnx_data_2');
    expect(() => { requireWeights(some, 'fp32', config(3)); }).toThrow(/lacks onnx\/model\.onnx_data_1,/);
  });
});
