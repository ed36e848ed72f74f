import { FilesetResolver, LlmInference } from '@mediapipe/tasks-genai';

import { measure, textOf } from '/measure.mjs';

await measure(async ({ files, options, workload }) => {
  const genai = await FilesetResolver.forGenAiTasks('/node_modules/@mediapipe/tasks-genai/wasm');
  const llm = await LlmInference.createFromOptions(genai, {
    baseOptions: { modelAssetPath: `/model/${files[0]}` },
    maxTokens: options.max_tokens,
    topK: 1,
    temperature: 0.8,
    randomSeed: 1,
  });
  const count = (text) => llm.sizeInTokens(text);
  const prompt = await textOf(workload.prompt_tokens, count);
  // The engine decodes three tokens of a `.bin` before it calls its listener, and one of a `.task`.
  const tokensPerCall = files[0].endsWith('.task') ? 1 : 3;
  const calls = Math.ceil(workload.generated_tokens / tokensPerCall);
  return async () => {
    const times = [];
    await llm.generateResponse(prompt, (text, done) => {
      if ((done && text === '') || times.length >= calls) return;
      times.push(performance.now());
      if (times.length >= calls) llm.cancelProcessing();
    });
    const seconds = (times.at(-1) - times[0]) / 1000;
    const speed = ((times.length - 1) * tokensPerCall) / seconds;
    return { tokens_in: count(prompt), tokens_out: times.length * tokensPerCall, speed };
  };
});
