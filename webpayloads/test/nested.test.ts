import { expect, test } from 'vitest';

import type { Observed } from '../src/messages';
import { total } from '../src/worker/nested';

const NOTHING = { gpu_memory: null, wasm_peak_bytes: null } as Observed;

test('what no worker has seen stays unknown', () => {
  expect(total(NOTHING, [])).toEqual(NOTHING);
  expect(total(NOTHING, [NOTHING])).toEqual(NOTHING);
});

test('memory of nested workers adds up with that of the one that started them', () => {
  const gpu_memory = { buffers: 2, largest_buffer_bytes: 64, live_bytes: 80, peak_bytes: 100 };
  const own = { ...NOTHING, wasm_peak_bytes: 10, gpu_memory };
  expect(total(own, [NOTHING])).toEqual(own);
  expect(total(NOTHING, [own])).toEqual(own);
  expect(total(own, [own, { ...NOTHING, wasm_peak_bytes: 5 }])).toEqual({
    wasm_peak_bytes: 25,
    gpu_memory: { buffers: 4, largest_buffer_bytes: 64, live_bytes: 160, peak_bytes: 200 },
  });
});
