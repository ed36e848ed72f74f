/** The KV cache of a context that many generations start from. */
import { DynamicCache, type PreTrainedModel, type Tensor } from '@huggingface/transformers';

import { encoded } from './library';

type Tensors = Record<string, Tensor>;

/** Tokens that go through the model at once: a logit for every word of each of them is computed, and thrown away. */
const CHUNK_TOKENS = 256;

interface Cache {
  update(entries: Tensors): void;
  dispose(): Promise<void>;
}
// Typed as a record of tensors by the library, which no class with methods can extend.
const BaseCache = DynamicCache as unknown as new (entries?: Tensors) => Cache;

/** A cache that grows from a context and leaves the context's own tensors as they are. */
class Branch extends BaseCache {
  readonly #context: ReadonlySet<Tensor>;

  constructor(context: Tensors) {
    super(context);
    this.#context = new Set(Object.values(context));
  }

  /** The library's own gives a replaced tensor's GPU memory back at once. */
  override update(entries: Tensors): void {
    const own = this as unknown as Tensors;
    for (const [name, value] of Object.entries(entries)) {
      const before = own[name];
      own[name] = value;
      if (before !== undefined && before !== value) this.#release(before);
    }
  }

  override dispose(): Promise<void> {
    for (const tensor of Object.values(this as unknown as Tensors)) this.#release(tensor);
    return Promise.resolve();
  }

  #release(tensor: Tensor): void {
    if (tensor.location === 'gpu-buffer' && !this.#context.has(tensor)) tensor.dispose();
  }
}

/** Tokens that a model has read, ready to be read on from. */
export class Context {
  readonly ids: readonly number[];
  readonly #tensors: Tensors;

  private constructor(ids: readonly number[], tensors: Tensors) {
    this.ids = ids;
    this.#tensors = tensors;
  }

  /** Runs the tokens through the model. */
  static async read(model: PreTrainedModel, ids: readonly number[], alive: () => void): Promise<Context> {
    const context = new Branch({});
    for (let start = 0; start < ids.length; start += CHUNK_TOKENS) {
      const end = Math.min(start + CHUNK_TOKENS, ids.length);
      const outputs = (await model.forward({
        input_ids: encoded(ids.slice(start, end)).input_ids,
        attention_mask: encoded(ids.slice(0, end)).attention_mask,
        past_key_values: context,
      })) as Tensors;
      context.update(presentOf(outputs));
      alive();
    }
    return new Context(ids, context as unknown as Tensors);
  }

  /** A cache to continue with, as often as wanted. */
  branch(): Cache {
    return new Branch({ ...this.#tensors });
  }
}

/** What a forward pass adds to the cache, under the names by which the next one asks for it. */
export function presentOf(outputs: Tensors): Tensors {
  const present = Object.entries(outputs).filter(([name]) => name.startsWith('present'));
  return Object.fromEntries(present.map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]));
}

export function newCache(): Cache {
  return new Branch({});
}
