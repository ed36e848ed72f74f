/** What a variant's options may say to the adapters. */
import type { PageSpec } from './contract';
import { PageFault } from './errors';

/** Tokens of the longest sequence, prompt and answer together; null leaves it to the adapter. @throws PageFault */
export function maxTokensOf({ options }: PageSpec): number | null {
  const value = options.max_tokens ?? null;
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) {
    throw new PageFault(`options.max_tokens is ${JSON.stringify(value)}; allowed is a positive whole number`);
  }
  return value;
}

/** One of `allowed`, or `otherwise` where the variant does not say. @throws PageFault */
export function choiceOf<Choice extends string>(
  { options }: PageSpec,
  name: string,
  allowed: readonly Choice[],
  otherwise: Choice,
): Choice {
  const value = options[name] ?? otherwise;
  const choice = allowed.find((known) => known === value);
  if (choice === undefined) {
    throw new PageFault(`options.${name} is ${JSON.stringify(value)}; allowed are ${allowed.join(', ')}`);
  }
  return choice;
}

/** A yes or no, or `otherwise` where the variant does not say. @throws PageFault */
export function flagOf({ options }: PageSpec, name: string, otherwise: boolean): boolean {
  const value = options[name] ?? otherwise;
  if (typeof value !== 'boolean') {
    throw new PageFault(`options.${name} is ${JSON.stringify(value)}; allowed are true and false`);
  }
  return value;
}
