/** The variant's files as the runtime reads them: counted as they stream, never held twice. */
import type { ModelFile } from '../contract';

type Body = ReadableStream<Uint8Array<ArrayBuffer>>;
type Reader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

/** Files that hold a model's weights, and not its words or settings. */
const WEIGHTS = /\.(onnx|onnx_data(_\d+)?|bin|task|litertlm|gguf|tflite)$/;

export interface ModelFilesListener {
  progress(loaded: number, total: number): void;
  /**
   * The weights are all here and nothing else is on its way. The last bytes are held back until this is done, so
   * that the runtime cannot begin with the model before.
   */
  complete(): Promise<void>;
}

export class ModelFiles {
  /** Where files lie, with a slash at the end. */
  readonly root: string;
  readonly #files: readonly ModelFile[];
  readonly #listener: ModelFilesListener;
  readonly #fetch: typeof fetch;
  readonly #missingWeights: Set<string>;
  readonly #total: number;
  /** Bytes by path: a library may read a file twice, or look whether it is there and not read it at all. */
  readonly #loaded = new Map<string, number>();
  readonly #reading = new Set<string>();

  constructor(base: string, files: readonly ModelFile[], listener: ModelFilesListener, fetcher?: typeof fetch) {
    this.root = new URL('model/', base).href;
    this.#files = files;
    this.#listener = listener;
    this.#fetch = fetcher ?? ((input, init) => fetch(input, init));
    this.#total = sum(files.map((file) => file.bytes));
    const weights = files.filter((file) => WEIGHTS.test(file.path));
    this.#missingWeights = new Set((weights.length > 0 ? weights : files).map((file) => file.path));
  }

  /** The only file of a variant that has one. */
  get single(): ModelFile {
    const [file] = this.#files;
    if (file === undefined) throw new Error('the variant has no files');
    return file;
  }

  /** The body of one of the variant's files. @throws Error when the server does not have it. */
  async stream(path: string): Promise<Body> {
    const reader = await this.#open(path);
    return this.#count(path, () => Promise.resolve(reader));
  }

  /**
   * `fetch` for libraries that build addresses themselves. One of the variant's files is asked for when the first
   * byte of it is read: a library that only wants to know whether it is there, or how large it is, downloads
   * nothing. Any other file is the library's business (some ask for optional ones).
   */
  readonly fetch: typeof fetch = async (input, init) => {
    const url = this.#addressOf(input);
    const file = this.#files.find((one) => this.root + one.path === url);
    if (file === undefined) return this.#fetch(input, init);
    const body = this.#count(file.path, () => this.#open(file.path));
    return new Response(body, { headers: { 'Content-Length': String(file.bytes) } });
  };

  async #open(path: string): Promise<Reader> {
    const url = this.root + path;
    const response = await this.#fetch(url);
    if (response.body === null || !response.ok) {
      throw new Error(`Failed to fetch model: ${url} (${response.status})`);
    }
    return response.body.getReader();
  }

  #count(path: string, open: () => Promise<Reader>): Body {
    const expected = this.#files.find((file) => file.path === path)?.bytes;
    let opened: Reader | null = null;
    let read = 0;
    return new ReadableStream(
      {
        pull: async (controller) => {
          opened ??= await open();
          const { done, value } = await opened.read();
          if (done) {
            if (expected !== undefined && read < expected) {
              throw new Error(`Failed to fetch model: ${this.root}${path} ended after ${read} of ${expected} bytes`);
            }
            controller.close();
            return;
          }
          this.#reading.add(path);
          read += value.byteLength;
          this.#loaded.set(path, read);
          this.#listener.progress(sum(this.#loaded.values()), this.#total);
          // Before the last bytes, and not at the end of the stream: who knows the format needs no end.
          if (read === expected) await this.#finish(path);
          controller.enqueue(value);
        },
        cancel: (reason) => opened?.cancel(reason),
      },
      // Nothing is read ahead: reading is what starts the download.
      { highWaterMark: 0 },
    );
  }

  #addressOf(input: RequestInfo | URL): string {
    if (typeof input === 'string') return new URL(input, this.root).href;
    return input instanceof URL ? input.href : input.url;
  }

  async #finish(path: string): Promise<void> {
    this.#reading.delete(path);
    this.#missingWeights.delete(path);
    if (this.#reading.size === 0 && this.#missingWeights.size === 0) await this.#listener.complete();
  }
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
