import { describe, expect, it } from 'vitest';

import type { PageSpec } from '../src/contract';
import { PageFault } from '../src/errors';
import { modelOf } from '../src/worker/mediapipe_files';

function spec(paths: string[], options: Record<string, unknown> = {}): PageSpec {
  return { files: paths.map((path) => ({ path, bytes: 1, sha256: '' })), options } as unknown as PageSpec;
}

describe('modelOf', () => {
  it('takes the only file', () => {
    expect(modelOf(spec(['a.bin']))).toEqual({ path: 'a.bin', converted: false, adapter: null });
    expect(modelOf(spec(['a.task']))).toEqual({ path: 'a.task', converted: true, adapter: null });
  });

  it('takes the file that is not the adapter for the base, in any order', () => {
    const adapter = { path: 'l.bin', rank: 4 };
    const options = { lora_file: 'l.bin', lora_rank: 4 };
    for (const paths of [['a.bin', 'l.bin'], ['l.bin', 'a.bin']]) {
      expect(modelOf(spec(paths, options))).toEqual({ path: 'a.bin', converted: false, adapter });
    }
  });

  it.each([
    ['an adapter that is not there', ['a.bin'], { lora_file: 'l.bin', lora_rank: 4 }, 'lora_file is "l.bin"'],
    ['an adapter alone', ['l.bin'], { lora_file: 'l.bin', lora_rank: 4 }, 'one file and an adapter'],
    ['two bases', ['a.bin', 'b.bin'], {}, 'a.bin, b.bin'],
    ['no file', [], {}, 'no files'],
    ['a rank without a file', ['a.bin'], { lora_rank: 4 }, 'lora_file is undefined'],
    ['a file without a rank', ['a.bin', 'l.bin'], { lora_file: 'l.bin' }, 'lora_rank is undefined'],
    ['half a rank', ['a.bin', 'l.bin'], { lora_file: 'l.bin', lora_rank: 0.5 }, 'lora_rank is 0.5'],
    ['LoRA for a .task', ['a.task', 'l.bin'], { lora_file: 'l.bin', lora_rank: 4 }, 'needs a .bin'],
  ])('refuses %s', (_, paths, options, said) => {
    const asked = (): unknown => modelOf(spec(paths, options));
    expect(asked).toThrow(PageFault);
    expect(asked).toThrow(said);
  });
});
