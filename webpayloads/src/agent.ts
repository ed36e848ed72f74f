/** The agent's page server, seen from the page: all addresses lie below the page's own. */
import type { PageEvent, PageReport } from './contract';
import { PageFault } from './errors';

/** Of what the agent says to a message that it refuses. */
const LONGEST_REASON = 500;

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
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch (reason) {
      throw new PageFault('the spec is not JSON', { cause: reason });
    }
  }

  /** Resolves when the agent has the event, and all those before it. @throws PageFault */
  async event(event: PageEvent): Promise<void> {
    const response = await this.#post('events', event);
    if (response !== null && !response.ok) {
      throw new PageFault(`the agent refused a message to events: HTTP ${response.status}`);
    }
  }

  /**
   * Resolves when the agent has the report; `bare` is sent in its place should the agent be unable to read it, and
   * is told why.
   *
   * @throws PageFault
   */
  async report(report: PageReport, bare: (reason: PageFault) => PageReport): Promise<void> {
    let response = await this.#post('report', report);
    if (response?.status === 413 || response?.status === 422) {
      const reason = (await response.text()).slice(0, LONGEST_REASON);
      const fault = new PageFault(`the agent could not read the report: HTTP ${response.status} ${reason}`);
      response = await this.#post('report', bare(fault));
    }
    if (response !== null && !response.ok) {
      throw new PageFault(`the agent refused a message to report: HTTP ${response.status}`);
    }
  }

  /** The agent's answer; null where there is nobody to answer. */
  #post(address: string, message: PageEvent | PageReport): Promise<Response | null> {
    const key = this.#key;
    if (key === null) return Promise.resolve(null);
    const posted = this.#queue.then(() =>
      this.#fetch(this.base + address, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Attempt-Key': key },
        body: JSON.stringify(message),
      }),
    );
    // A message that got lost is its sender's trouble; the next one is tried all the same.
    this.#queue = posted.then(
      () => undefined,
      () => undefined,
    );
    return posted;
  }
}
