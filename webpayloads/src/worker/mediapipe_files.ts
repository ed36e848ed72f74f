/** Which of a variant's files MediaPipe LLM Inference is to take for what. */
import type { PageSpec } from '../contract';
import { PageFault } from '../errors';

export interface Adapter {
  path: string;
  rank: number;
}

export interface Model {
  path: string;
  /** A `.task`: another engine of the same runtime runs it, with sessions of its own and without LoRA. */
  converted: boolean;
  adapter: Adapter | null;
}

/** The base is the file that is not the adapter. @throws PageFault where options and files do not go together. */
export function modelOf({ files, options }: PageSpec): Model {
  const adapter = adapterOf(options);
  if (adapter !== null && !files.some(({ path }) => path === adapter.path)) {
    throw new PageFault(`options.lora_file is "${adapter.path}"; the variant has ${listed(files)}`);
  }
  const bases = files.filter(({ path }) => path !== adapter?.path);
  const [base] = bases;
  if (base === undefined || bases.length > 1) {
    throw new PageFault(`mediapipe-llm takes one file and an adapter as options.lora_file; the variant has ${listed(files)}`);
  }
  const converted = base.path.endsWith('.task');
  if (converted && adapter !== null) throw new PageFault('options.lora_file: LoRA needs a .bin, not a .task');
  return { path: base.path, converted, adapter };
}

function adapterOf({ lora_file: path, lora_rank: rank }: PageSpec['options']): Adapter | null {
  if (path === undefined && rank === undefined) return null;
  if (typeof path !== 'string') throw new PageFault(`options.lora_file is ${JSON.stringify(path)}; it must be a path`);
  if (typeof rank !== 'number' || !Number.isInteger(rank) || rank < 1) {
    throw new PageFault(`options.lora_rank is ${JSON.stringify(rank)}; allowed is a positive whole number`);
  }
  return { path, rank };
}

function listed(files: PageSpec['files']): string {
  return files.length === 0 ? 'no files' : files.map(({ path }) => path).join(', ');
}
