/** Figures for the person who watches the page; the coordinator computes its own from the raw samples. */
import type { GenerationSample, InferenceSample } from './contract';

/** Of one generation, as the contract has it. */
const MOST_CHUNKS = 1000;

/** When each chunk came, in ms from `start`; of so many as the contract takes, to the clock's own resolution. */
export function chunkTimes(start: number, times: readonly number[]): number[] {
  return times.slice(0, MOST_CHUNKS).map((at) => Math.round((at - start) * 1000) / 1000);
}

export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  if (upper === undefined) return null;
  const lower = sorted[(sorted.length - 1) >> 1] ?? upper;
  return (lower + upper) / 2;
}

export interface GenerationFigures {
  ttft_ms: number | null;
  prefill_tokens_per_second: number | null;
  decode_tokens_per_second: number | null;
}

/** Medians over the repetitions; what no sample could tell is null. */
export function generationFigures(samples: readonly GenerationSample[]): GenerationFigures {
  const decoding = samples.filter((sample) => sample.decode_ms > 0);
  return {
    ttft_ms: median(samples.map((sample) => sample.ttft_ms)),
    prefill_tokens_per_second: median(
      samples.filter((sample) => sample.ttft_ms > 0).map((sample) => (sample.tokens_in * 1000) / sample.ttft_ms),
    ),
    decode_tokens_per_second: median(
      decoding.map((sample) => ((sample.tokens_out - (sample.first_chunk_tokens ?? 1)) * 1000) / sample.decode_ms),
    ),
  };
}

export interface InferenceFigures {
  latency_ms: number | null;
  inferences_per_second: number | null;
}

export function inferenceFigures(samples: readonly InferenceSample[]): InferenceFigures {
  return {
    latency_ms: median(samples.map((sample) => sample.latency_ms)),
    inferences_per_second: median(
      samples.filter((sample) => sample.latency_ms > 0).map((sample) => (sample.batch * 1000) / sample.latency_ms),
    ),
  };
}

/** Cosine similarity, or null where the vectors do not compare. */
export function cosine(a: readonly (number | null)[], b: readonly number[]): number | null {
  if (a.length !== b.length || a.length === 0) return null;
  let dot = 0;
  let normA = 0;
  let normB = 0;
  for (const [index, right] of b.entries()) {
    const left = a[index];
    if (left === null || left === undefined) return null;
    dot += left * right;
    normA += left * left;
    normB += right * right;
  }
  return normA === 0 || normB === 0 ? null : dot / Math.sqrt(normA * normB);
}

/** The share of the reference's leading characters that the text repeats, 0 to 1. */
export function leadingAgreement(text: string, reference: string): number {
  const expected = Array.from(reference);
  if (expected.length === 0) return 1;
  const actual = Array.from(text);
  let same = 0;
  while (same < expected.length && actual[same] === expected[same]) same += 1;
  return same / expected.length;
}

/** The share of the reference's places that hold the same in both, 0 to 1. */
export function sameShare(actual: readonly number[], reference: readonly number[]): number {
  if (reference.length === 0) return 1;
  return reference.filter((value, index) => actual[index] === value).length / reference.length;
}
