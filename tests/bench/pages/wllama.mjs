import { Wllama } from '@wllama/wllama';

import { measure, textOf } from '/measure.mjs';

await measure(async ({ backend, files, options, workload }) => {
  const wllama = new Wllama({ default: '/node_modules/@wllama/wllama/esm/wasm/wllama.wasm' });
  await wllama.loadModelFromUrl(new URL(`/model/${files[0]}`, location.href).href, {
    useCache: false,
    n_ctx: options.n_ctx ?? 1024,
    ...(backend === 'wasm' ? { n_gpu_layers: 0 } : {}),
  });
  const count = async (text) => (await wllama.tokenize(text)).length;
  const prompt = await textOf(workload.prompt_tokens, count);
  const tokensIn = await count(prompt);
  return async () => {
    const times = [];
    await wllama.createCompletion({
      prompt,
      max_tokens: workload.generated_tokens,
      temperature: 0,
      cache_prompt: false,
      stream: true,
      onData: () => times.push(performance.now()),
    });
    const seconds = (times.at(-1) - times[0]) / 1000;
    return { tokens_in: tokensIn, tokens_out: times.length, speed: (times.length - 1) / seconds };
  };
});
