import { Wllama } from '@wllama/wllama';

import { measure, words } from '/measure.mjs';

await measure(async ({ backend, files, options, workload }) => {
  const wllama = new Wllama({ default: '/node_modules/@wllama/wllama/esm/wasm/wllama.wasm' });
  await wllama.loadModelFromUrl(new URL(`/model/${files[0]}`, location.href).href, {
    useCache: false,
    n_ctx: options.max_tokens ?? 1024,
    ...(backend === 'wasm' ? { n_gpu_layers: 0 } : {}),
  });
  const complete = async (prompt, maxTokens) => {
    const parts = [];
    let last;
    await wllama.createCompletion({
      prompt,
      max_tokens: maxTokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
      timings_per_token: true,
      stream: true,
      onData: (part) => {
        last = part;
        const tokens = part.timings?.predicted_n ?? 0;
        if (part.choices[0]?.finish_reason === null && tokens > (parts.at(-1)?.tokens ?? 0)) {
          parts.push({ at: performance.now(), tokens });
        }
      },
    });
    return { parts, promptTokens: last.usage?.prompt_tokens ?? last.timings.prompt_n };
  };
  // The library has no tokenizer of its own: the longest text with no more tokens than wanted, found by reading it.
  let count = workload.prompt_tokens;
  let read = (await complete(words(count), 0)).promptTokens;
  while (read > workload.prompt_tokens) {
    count -= 1;
    read = (await complete(words(count), 0)).promptTokens;
  }
  const prompt = words(count) + ' a'.repeat(workload.prompt_tokens - read);
  return async () => {
    const { parts, promptTokens } = await complete(prompt, workload.generated_tokens);
    const [first, last] = [parts[0], parts.at(-1)];
    const speed = (last.tokens - first.tokens) / ((last.at - first.at) / 1000);
    return { tokens_in: promptTokens, tokens_out: last.tokens, speed };
  };
});
