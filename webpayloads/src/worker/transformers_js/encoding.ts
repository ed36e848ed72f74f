/** Models that read a text in one pass: embeddings, labels of a text, words that fill a mask. */
import { mean_pooling, type PreTrainedModel, type PreTrainedTokenizer, type Tensor } from '@huggingface/transformers';

import type { EmbeddingValidation, LabelScore, LabelValidation, ValidationOutput } from '../../contract';
import { ModelFault, PageFault } from '../../errors';
import type { Sample } from '../../messages';
import { words } from '../../prompt';
import type { Workload } from '../../runtime';
import { encode, floats, type Encoded, type Loaded } from './library';
import { bestLabels, countNonFinite } from './logits';

type EncoderWorkload = Exclude<Workload, { task: 'text-generation' }>;

const BEST = 5;
/** What stands for the mask in a validation's texts; each tokenizer has its own. */
const MASK = '[MASK]';

interface Outputs {
  logits?: Tensor;
  last_hidden_state?: Tensor;
  token_embeddings?: Tensor;
}

interface Labelled {
  labels: LabelScore[][];
  nonFinite: number;
}

export class Encoding {
  readonly #model: PreTrainedModel;
  readonly #tokenizer: PreTrainedTokenizer;
  readonly #masked: boolean;

  constructor({ model, tokenizer }: Loaded, task: EncoderWorkload['task']) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#masked = task === 'fill-mask';
    if (this.#masked && !tokenizer.mask_token) {
      throw new ModelFault('the tokenizer has no mask token: add mask_token to tokenizer_config.json');
    }
  }

  prepare({ task, batch, length }: EncoderWorkload): () => Promise<Sample> {
    const text = this.#masked ? `${this.#tokenizer.mask_token} ${words(length)}` : words(length);
    const texts = new Array<string>(batch).fill(text);
    const work = task === 'feature-extraction' ? this.#embed.bind(this) : this.#label.bind(this);
    return async () => {
      const start = performance.now();
      await work(texts, length);
      return { kind: 'inference', sample: { latency_ms: performance.now() - start, batch } };
    };
  }

  /** One by one: padding beside a longer text must not be able to change a result. */
  async validate(validation: EmbeddingValidation | LabelValidation): Promise<ValidationOutput> {
    if (validation.check === 'labels') {
      const labelled: Labelled[] = [];
      for (const text of validation.texts) {
        labelled.push(await this.#label([text.replaceAll(MASK, this.#masked ? this.#tokenizer.mask_token : MASK)]));
      }
      return { labels: labelled.flatMap(({ labels }) => labels), non_finite: sum(labelled.map((one) => one.nonFinite)) };
    }
    const vectors: number[][] = [];
    for (const text of validation.texts) vectors.push(...(await this.#embed([text])));
    return {
      vectors: vectors.map((vector) => vector.map((value) => (Number.isFinite(value) ? value : null))),
      non_finite: sum(vectors.map(countNonFinite)),
    };
  }

  /** Mean-pooled, normalized. */
  async #embed(texts: string[], length?: number): Promise<number[][]> {
    const inputs = this.#encode(texts, length);
    const { last_hidden_state, token_embeddings } = await this.#forward(inputs);
    const hidden = last_hidden_state ?? token_embeddings;
    if (hidden === undefined) throw new ModelFault('the model has no output last_hidden_state');
    return mean_pooling(hidden.to('float32'), inputs.attention_mask).normalize(2, -1).tolist() as number[][];
  }

  /** The best labels of each text, or the best words for its mask. */
  async #label(texts: string[], length?: number): Promise<Labelled> {
    const inputs = this.#encode(texts, length);
    const { logits } = await this.#forward(inputs);
    if (logits === undefined) throw new ModelFault('the model has no output logits');
    const values = floats(logits);
    const width = logits.dims.at(-1) ?? 0;
    const rows = this.#masked ? this.#maskPlaces(inputs) : texts.map((_, row) => row);
    const scores = rows.map((row) => values.subarray(row * width, (row + 1) * width));
    return {
      labels: scores.map((score) => bestLabels(score, (index) => this.#labelOf(index), BEST)),
      nonFinite: sum(scores.map(countNonFinite)),
    };
  }

  #labelOf(index: number): string {
    if (this.#masked) return this.#tokenizer.decode([index]);
    const { id2label } = this.#model.config as { id2label?: Record<number, string> };
    return id2label?.[index] ?? `LABEL_${index}`;
  }

  /** Where each text has its first mask, counted over the tokens of all of them. */
  #maskPlaces({ input_ids }: Encoded): number[] {
    const length = input_ids.dims[1] ?? 0;
    const ids = Array.from(input_ids.data as BigInt64Array, Number);
    return Array.from({ length: input_ids.dims[0] ?? 0 }, (_, text) => {
      const place = ids.slice(text * length, (text + 1) * length).indexOf(this.#tokenizer.mask_token_id);
      if (place < 0) throw new PageFault(`a text has no ${MASK} among its ${length} tokens`);
      return text * length + place;
    });
  }

  async #forward(inputs: Encoded): Promise<Outputs> {
    return (await (this.#model as unknown as (inputs: Encoded) => Promise<Outputs>)(inputs));
  }

  /** Tokens of each text; cut to `length`, special ones included, which then is the exact number. */
  #encode(texts: string[], length?: number): Encoded {
    const cut = length === undefined ? {} : { max_length: length };
    const inputs = encode(this.#tokenizer, texts, { padding: true, truncation: true, ...cut });
    const made = inputs.input_ids.dims[1] ?? 0;
    if (length !== undefined && made !== length) {
      throw new PageFault(`asked for ${length} tokens, the tokenizer made ${made}`);
    }
    return inputs;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
