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
  // One call of the listener may bring several tokens: the first generation tells how many.
  let tokensPerCall = 1;
  return async () => {
    const enough = Math.ceil(workload.generated_tokens / tokensPerCall);
    const parts = [];
    await llm.generateResponse(prompt, (text, done) => {
      if ((done && text === '') || parts.length >= enough) return;
      parts.push({ at: performance.now(), text });
      if (parts.length >= enough) llm.cancelProcessing();
    });
    const [first, last] = [parts[0], parts.at(-1)];
    const tokens = count(parts.map(({ text }) => text).join(''));
    tokensPerCall = Math.max(1, tokens / parts.length);
    const speed = (tokens - count(first.text)) / ((last.at - first.at) / 1000);
    return { tokens_in: count(prompt), tokens_out: tokens, speed };
  };
});
