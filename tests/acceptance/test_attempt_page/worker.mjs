const gpuAtStart = typeof navigator.gpu;
const tasks = {
  webgpu: () => gpuAtStart,
  async fetch({ urls, depth }) {
    if (depth > 0) {
      return new Promise((resolve) => {
        const nested = new Worker("worker.mjs", { type: "module" });
        nested.onmessage = (event) => resolve(event.data);
        nested.postMessage({ task: "fetch", urls, depth: depth - 1 });
      });
    }
    console.warn("from the nested worker");
    let bytes = 0;
    for (const url of urls) bytes += (await (await fetch(url)).arrayBuffer()).byteLength;
    return bytes;
  },
  async allocate() {
    const kept = [];
    for (;;) {
      const block = new Uint8Array(16 << 20);
      for (let i = 0; i < block.length; i += 1024) block[i] = (i * 2654435761) & 255;
      kept.push(block);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  },
};

onmessage = async ({ data }) => postMessage(await tasks[data.task](data));
