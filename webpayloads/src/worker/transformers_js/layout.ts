/** Where Transformers.js looks for a model's files. It would find out file by file, after downloading the others. */
import type { ModelFile } from '../../contract';
import { ModelFault } from '../../errors';

/** Each dtype with the end of its file's name. */
export const SUFFIXES = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
} as const;

export type Dtype = keyof typeof SUFFIXES;

export const DTYPES = Object.keys(SUFFIXES) as Dtype[];

/** The part of `config.json` that says how weights are laid out: true, a number of chunks, or either for each file. */
interface LayoutConfig {
  'transformers.js_config'?: {
    use_external_data_format?: boolean | number | Record<string, boolean | number>;
  };
}

/** The ONNX file of a dtype, then the chunks of its external data. */
export function weightFiles(dtype: Dtype, config: object): string[] {
  const name = `model${SUFFIXES[dtype]}.onnx`;
  const said = (config as LayoutConfig)['transformers.js_config']?.use_external_data_format ?? 0;
  const chunks = Number(typeof said === 'object' ? (said[name] ?? said.model ?? 0) : said);
  const data = Array.from({ length: chunks }, (_, index) => `${name}_data${index === 0 ? '' : `_${index}`}`);
  return [name, ...data].map((file) => `onnx/${file}`);
}

/** What each file is for, as far as the library cannot do without it. */
const NEEDED = {
  'config.json': 'the model type and its shapes',
  'tokenizer.json': 'the tokenizer',
  'tokenizer_config.json': "the tokenizer's settings",
};

/** @throws ModelFault when a file that every model needs is not among the variant's. */
export function requireCompanions(files: readonly ModelFile[]): void {
  const lacking = Object.entries(NEEDED).filter(([path]) => !has(files, path));
  if (lacking.length === 0) return;
  const named = lacking.map(([path, what]) => `${path} (${what})`).join(', ');
  throw new ModelFault(`the variant lacks ${named}: add what was published beside the weights`);
}

/** @throws ModelFault when the dtype's weights are not among the variant's files. */
export function requireWeights(files: readonly ModelFile[], dtype: Dtype, config: object): void {
  const lacking = weightFiles(dtype, config).filter((path) => !has(files, path));
  if (lacking.length === 0) return;
  const weights = files.map(({ path }) => path).filter((path) => path.startsWith('onnx/'));
  throw new ModelFault(
    `the variant lacks ${lacking.join(', ')}, which dtype ${dtype} needs, and has ${weights.join(', ') || 'no weights'}: ` +
      'set options.dtype to what was built, or use_external_data_format in config.json to the number of its data files',
  );
}

function has(files: readonly ModelFile[], path: string): boolean {
  return files.some((file) => file.path === path);
}
