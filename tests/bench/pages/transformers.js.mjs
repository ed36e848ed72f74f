import { env, pipeline, Tensor, TextStreamer } from '@huggingface/transformers';

import { measure, textOf, words } from '/measure.mjs';

env.allowLocalModels = true;
env.allowRemoteModels = false;
env.localModelPath = '/';
env.useBrowserCache = false;
env.backends.onnx.wasm.wasmPaths = '/node_modules/onnxruntime-web/dist/';

await measure(async ({ backend, task, options, workload }) => {
  const pipe = await pipeline(task, 'model', { device: backend, dtype: options.dtype });
  if (task === 'text-generation') return generation(pipe, workload);
  const count = (text) => pipe.tokenizer(text).input_ids.dims[1];
  const text = await textOf(workload.length, count);
  return async () => {
    const start = performance.now();
    const output = await pipe(text, task === 'feature-extraction' ? { pooling: 'mean', normalize: true } : {});
    if (task === 'feature-extraction') output.tolist();
    return { tokens_in: count(text), tokens_out: 0, speed: 1000 / (performance.now() - start) };
  };
});

function generation({ model, tokenizer }, workload) {
  const ids = tokenizer(words(workload.prompt_tokens + 1)).input_ids.data.slice(0, workload.prompt_tokens);
  const prompt = {
    input_ids: new Tensor('int64', ids, [1, ids.length]),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
  };
  const length = { min_new_tokens: workload.generated_tokens, max_new_tokens: workload.generated_tokens };
  return async () => {
    const times = [];
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: () => {},
      token_callback_function: (tokens) => tokens.forEach(() => times.push(performance.now())),
    });
    await model.generate({ ...prompt, ...length, do_sample: false, streamer });
    const seconds = (times.at(-1) - times[0]) / 1000;
    return { tokens_in: ids.length, tokens_out: times.length, speed: (times.length - 1) / seconds };
  };
}
