import { Backend, Engine, loadLiteRtLm, SamplerType } from '@litert-lm/core';

import { measure, textOf } from '/measure.mjs';

await measure(async ({ backend, files, options, workload }) => {
  await loadLiteRtLm('/node_modules/@litert-lm/core/wasm/');
  const engine = await Engine.create({
    model: `/model/${files[0]}`,
    backend: backend === 'wasm' ? Backend.CPU : Backend.GPU_ARTISAN,
    benchmarkEnabled: true,
    mainExecutorSettings: { maxNumTokens: options.max_tokens },
  });
  const ask = async (text, maxOutputTokens) => {
    const samplerParams = { type: SamplerType.TOP_P, k: 1, p: 1, temperature: 1, seed: 1 };
    const chat = await engine.createConversation({ sessionConfig: { maxOutputTokens, samplerParams } });
    for await (const _ of chat.sendMessageStreaming(text));
    // On CPU all parts come at once, at the end: only the engine itself knows when it made them.
    const counters = await chat.getBenchmarkInfo();
    await chat.delete();
    return counters;
  };
  const prompt = await textOf(workload.prompt_tokens, async (text) => (await ask(text, 1)).lastPrefillTokenCount);
  return async () => {
    const counters = await ask(prompt, workload.generated_tokens);
    return {
      tokens_in: counters.lastPrefillTokenCount,
      tokens_out: counters.lastDecodeTokenCount,
      speed: counters.lastDecodeTokensPerSecond,
    };
  };
});
