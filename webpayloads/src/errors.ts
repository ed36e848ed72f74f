/** Whatever a runtime throws, as the contract's `PageError`: runtimes reject with arrays and bare numbers, too. */
import type { ErrorSource, PageError, Phase } from './contract';

const LONGEST_TEXT = 20_000;

/** Said by the page itself, about its spec or its agent; the name tells it from a runtime's error. */
export class PageFault extends Error {
  override readonly name = 'PageFault';
}

/** As much of the text as a message holds; never half a character, which JSON parsers refuse. */
export function cut(text: string): string {
  if (text.length <= LONGEST_TEXT) return text;
  return `${text.slice(0, LONGEST_TEXT - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}

/** One `PageError` for each thing that was thrown; never empty. */
export function toPageErrors(thrown: unknown, source: ErrorSource, phase: Phase): PageError[] {
  const things: unknown[] = Array.isArray(thrown) && thrown.length > 0 ? thrown : [thrown];
  return things.map((thing) => ({ source, phase, ...describe(thing) }));
}

function describe(thing: unknown): Required<Pick<PageError, 'name' | 'message' | 'stack'>> {
  const { name, message } = describeThrown(thing);
  const causes = thing instanceof Error ? causesOf(thing) : [];
  return {
    name: cut(name),
    message: cut([message, ...causes].join(' · caused by ')),
    stack: cut(thing instanceof Error ? (thing.stack ?? '') : ''),
  };
}

function describeThrown(thing: unknown): { name: string; message: string } {
  if (thing instanceof Error) return { name: thing.name, message: thing.message };
  if (typeof thing === 'object' && thing !== null) {
    // GPUError, DOMException of another realm and the like: not an Error, but with a message.
    const name = (thing.constructor as { name?: string } | undefined)?.name ?? '';
    const message = 'message' in thing && typeof thing.message === 'string' ? thing.message : asJson(thing);
    return { name: name === 'Object' ? '' : name, message };
  }
  // Emscripten throws a pointer to its C++ exception as a bare number.
  return { name: typeof thing, message: String(thing) };
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause = error.cause;
  while (cause !== undefined && causes.length < 5) {
    const { name, message } = describeThrown(cause);
    causes.push(`${name}: ${message}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

function asJson(thing: object): string {
  try {
    return JSON.stringify(thing);
  } catch {
    return Object.prototype.toString.call(thing);
  }
}
