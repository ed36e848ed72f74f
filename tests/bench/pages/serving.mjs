// Reads a model as a runtime does, chunk by chunk, and tells by the page's title how long that took.
const began = performance.now();
const reader = (await fetch('model/model.bin', { cache: 'no-store' })).body.getReader();
let bytes = 0;
for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.byteLength;
document.title = `read ${location.search} ${bytes} ${(performance.now() - began) / 1000}`;
