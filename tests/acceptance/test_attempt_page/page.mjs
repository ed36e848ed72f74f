// A page without a model: what it does is named by the spec's `behaviour` option.
const gpuAtStart = typeof navigator.gpu;
const key = new URLSearchParams(location.hash.slice(1)).get("key") ?? "";
const spec = await (await fetch("spec")).json();
let seq = 0;
let phase = "download";

async function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Attempt-Key": key };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function enter(next) {
  phase = next;
  document.getElementById("state").textContent = next;
  await post("events", { seq: seq++, kind: "phase", phase, at_ms: performance.now() });
}

async function report(errors, more = {}) {
  const environment = {
    user_agent: navigator.userAgent,
    cross_origin_isolated: crossOriginIsolated,
    hardware_concurrency: navigator.hardwareConcurrency,
  };
  const body = { attempt: spec.attempt, completed: errors.length === 0, phase, errors, environment, ...more };
  const answer = await post("report", body);
  if (!answer.ok) console.error("report refused", answer.status, await answer.text());
}

function inWorker(message) {
  return new Promise((resolve, reject) => {
    const worker = new Worker("worker.mjs", { type: "module" });
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(message);
  });
}

const behaviours = {
  async complete() {
    await enter("download");
    const [first, ...others] = spec.files.map((file) => new URL(`model/${file.path}`, location.href).href);
    const bytes = (await (await fetch(first)).arrayBuffer()).byteLength;
    const nested = await inWorker({ task: "fetch", urls: others, depth: 1 });
    const range = await fetch(first, { headers: { Range: "bytes=10-19" } });
    console.log("page fetched", bytes, "workers fetched", nested, "range", range.status, (await range.arrayBuffer()).byteLength);
    await enter("measure");
    await report([], { inference_samples: [{ latency_ms: 1.5, batch: 1 }] });
  },
  async "look-for-webgpu"() {
    await enter("init");
    const seen = [gpuAtStart, await inWorker({ task: "webgpu" })];
    const message = seen.includes("object") ? `page and worker see ${seen}` : "navigator.gpu is undefined";
    await report([{ source: "exception", phase, name: "Error", message }]);
  },
  async allocate() {
    await enter("init");
    await inWorker({ task: "allocate" });
  },
  async "measure-memory"() {
    await enter("measure");
    const { bytes } = await performance.measureUserAgentSpecificMemory();
    await report([], { user_agent_bytes: bytes });
  },
  async hang() {
    await enter("warmup");
  },
  async wait() {
    await enter("warmup");
    while (!(await fetch("model/go")).ok) await new Promise((resolve) => setTimeout(resolve, 50));
    await enter("measure");
    await report([], { inference_samples: [{ latency_ms: 1.5, batch: 1 }] });
  },
};

await behaviours[spec.options.behaviour]();
