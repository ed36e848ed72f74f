/** The agent's page server, seen from the page: all addresses lie below the page's own. */
import type { PageEvent, PageReport } from './contract';
import { PageFault } from './errors';

export class Agent {
  /** The page's address with a slash at the end. */
  readonly base: string;
  readonly #key: string | null;
  readonly #fetch: typeof fetch;
  #queue: Promise<void> = Promise.resolve();

  constructor(location: Pick<Location, 'href' | 'hash'>, fetcher: typeof fetch) {
    this.base = new URL('.', location.href).href;
    this.#key = new URLSearchParams(location.hash.slice(1)).get('key');
    this.#fetch = fetcher;
  }

  /** False when a person opened the page, without the attempt's secret: then nothing is posted. */
  get listens(): boolean {
    return this.#key !== null;
  }

  /** The attempt's name in the page's address: all there is to say about an attempt whose spec is unreadable. */
  get attempt(): string {
    return decodeURIComponent(new URL(this.base).pathname.split('/').findLast((part) => part !== '') ?? '');
  }

  /** The spec as it came, unchecked. @throws PageFault */
  async spec(): Promise<unknown> {
    const response = await this.#fetch(`${this.base}spec`, { cache: 'no-store' });
    if (!response.ok) throw new PageFault(`the spec could not be read: HTTP ${response.status}`);
    return response.json();
  }

  /** Resolves when the agent has the event, and all those before it. @throws PageFault */
  event(event: PageEvent): Promise<void> {
    return this.#post('events', event);
  }

  report(report: PageReport): Promise<void> {
    return this.#post('report', report);
  }

  #post(address: string, message: PageEvent | PageReport): Promise<void> {
    const key = this.#key;
    if (key === null) return Promise.resolve();
    const posted = this.#queue.then(async () => {
      const response = await this.#fetch(this.base + address, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Attempt-Key': key },
        body: JSON.stringify(message),
      });
      if (!response.ok) throw new PageFault(`the agent refused a message to ${address}: HTTP ${response.status}`);
    });
    // A message that got lost is its sender's trouble; the next one is tried all the same.
    this.#queue = posted.catch(() => undefined);
    return posted;
  }
}
