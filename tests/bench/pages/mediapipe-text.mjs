import { FilesetResolver, TextClassifier, TextEmbedder } from '@mediapipe/tasks-text';

import { measure, words } from '/measure.mjs';

await measure(async ({ task, files, workload }) => {
  const fileset = await FilesetResolver.forTextTasks('/node_modules/@mediapipe/tasks-text/wasm');
  const text = words(workload.length);
  const model = `/model/${files[0]}`;
  const run = task === 'text-classification' ? await classifier(fileset, model) : await embedder(fileset, model);
  return async () => {
    const start = performance.now();
    run(text);
    return { tokens_in: workload.length, tokens_out: 0, speed: 1000 / (performance.now() - start) };
  };
});

async function classifier(fileset, model) {
  const engine = await TextClassifier.createFromModelPath(fileset, model);
  return (text) => engine.classify(text);
}

async function embedder(fileset, model) {
  const engine = await TextEmbedder.createFromModelPath(fileset, model);
  return (text) => engine.embed(text);
}
