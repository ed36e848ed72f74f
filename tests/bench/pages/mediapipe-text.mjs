import { FilesetResolver, TextClassifier, TextEmbedder } from '@mediapipe/tasks-text';

import { measure, words } from '/measure.mjs';

await measure(async ({ task, files, workload }) => {
  const fileset = await FilesetResolver.forTextTasks('/node_modules/@mediapipe/tasks-text/wasm');
  const embeds = task === 'feature-extraction';
  const Task = embeds ? TextEmbedder : TextClassifier;
  const engine = await Task.createFromModelPath(fileset, `/model/${files[0]}`);
  const text = words(workload.length);
  return () => {
    const start = performance.now();
    for (let index = 0; index < workload.batch; index += 1) {
      if (embeds) engine.embed(text);
      else engine.classify(text);
    }
    const seconds = (performance.now() - start) / 1000;
    return { tokens_in: workload.length, tokens_out: 0, speed: workload.batch / seconds };
  };
});
