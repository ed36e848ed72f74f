/** Transformers.js, told where everything lies, and a model loaded with it. */
import {
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  env,
  Tensor,
  type PreTrainedModel,
  type PreTrainedTokenizer,
} from '@huggingface/transformers';

import type { PageSpec, TextValidation } from '../../contract';
import { ModelFault, PageFault } from '../../errors';
import { choiceOf } from '../../options';
import type { Hooks } from '../../runtime';
import { DTYPES, requireCompanions, requireWeights } from './layout';

const WASM_BUILD = 'ort-wasm-simd-threaded.asyncify';
/** The folder below the page's own address that holds the variant's files. */
const FOLDER = 'model';

const CLASSES: Partial<Record<PageSpec['task'], typeof AutoModel>> = {
  'text-generation': AutoModelForCausalLM,
  'text-classification': AutoModelForSequenceClassification,
  'feature-extraction': AutoModel,
  'fill-mask': AutoModelForMaskedLM,
};

/** What a model takes and a tokenizer makes: both are typed as anything by the library. */
export interface Encoded {
  input_ids: Tensor;
  attention_mask: Tensor;
}

export interface Loaded {
  model: PreTrainedModel;
  tokenizer: PreTrainedTokenizer;
  threads: number | null;
}

/** @throws ModelFault when the variant's files are not what the library needs. */
export async function load(spec: PageSpec, chat: boolean, hooks: Hooks): Promise<Loaded> {
  const dtype = choiceOf(spec, 'dtype', DTYPES, 'fp32');
  const Model = CLASSES[spec.task];
  if (Model === undefined) throw new PageFault(`no such task here: ${spec.task}`);
  requireCompanions(spec.files);
  const wasm = configure(hooks);
  // Before the weights: these say whether the weights are worth their download.
  const [config, tokenizer] = await Promise.all([
    AutoConfig.from_pretrained(FOLDER),
    AutoTokenizer.from_pretrained(FOLDER),
  ]);
  requireWeights(spec.files, dtype, config);
  if (chat && spec.validation?.check === 'text') requireChatTemplate(tokenizer, spec.validation);
  const model = await Model.from_pretrained(FOLDER, {
    config,
    device: spec.backend,
    dtype,
    // With a listener, files are read into one buffer of their size instead of being put together from chunks.
    progress_callback: () => undefined,
  });
  return { model, tokenizer, threads: wasm.numThreads ?? null };
}

/** One row of tokens, all of them to be attended to. */
export function encoded(ids: readonly number[]): Encoded {
  const dims = [1, ids.length];
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), dims),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), dims),
  };
}

export function encode(tokenizer: PreTrainedTokenizer, text: string | string[], options: object = {}): Encoded {
  return (tokenizer as unknown as (text: string | string[], options: object) => Encoded)(text, options);
}

/** A tensor's values, whichever floats it holds. */
export function floats(tensor: Tensor): Float32Array {
  return tensor.to('float32').data as Float32Array;
}

/** @throws ModelFault when a chat is asked for that the tokenizer has no words for. */
function requireChatTemplate(tokenizer: PreTrainedTokenizer, validation: TextValidation): void {
  if (validation.prompt_ids !== null || tokenizer.chat_template) return;
  throw new ModelFault(
    'the tokenizer has no chat template: add chat_template to tokenizer_config.json, ' +
      'or set options.chat to false for a model that only continues text',
  );
}

function configure(hooks: Hooks): { numThreads?: number } {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.useBrowserCache = false;
  env.useWasmCache = false;
  // A path and not an address: the library looks for no optional file, and no tokenizer, behind an address.
  env.localModelPath = new URL('..', hooks.files.root).pathname;
  env.fetch = hooks.files.fetch;
  const wasm = env.backends.onnx.wasm;
  if (wasm === undefined) throw new Error('onnxruntime-web has no WASM settings');
  wasm.wasmPaths = { mjs: `${hooks.assets}${WASM_BUILD}.mjs`, wasm: `${hooks.assets}${WASM_BUILD}.wasm` };
  // This is a worker already.
  wasm.proxy = false;
  return wasm;
}
