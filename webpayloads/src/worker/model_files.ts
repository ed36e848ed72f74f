/** The variant's files as the runtime reads them: counted as they stream, never held twice. */
import type { ModelFile } from '../contract';
import type { LoadedBytes } from '../messages';
import type { Chunk, FileSource, Incoming } from './file_source';

type Body = ReadableStream<Chunk>;

/** Files that hold a model's weights, and not its words or settings. */
const WEIGHTS = /\.(onnx|onnx_data(_\d+)?|bin|task|litertlm|gguf|tflite)$/;

export interface ModelFilesListener {
  progress(loaded: number, total: number): void;
  /**
   * The weights are all here and nothing else is on its way. The last bytes are held back until this is done, so
   * that the runtime cannot begin with the model before.
   */
  complete(): Promise<void>;
  /** One of the variant's files did not come. The runtime is told as well, but may keep it to itself. */
  failed(reason: unknown): void;
}

export class ModelFiles {
  /** Where files lie, with a slash at the end. */
  readonly root: string;
  readonly #files: readonly ModelFile[];
  readonly #listener: ModelFilesListener;
  readonly #source: FileSource;
  readonly #missingWeights: Set<string>;
  readonly #total: number;
  /** Bytes by path: a library may read a file twice, or look whether it is there and not read it at all. */
  readonly #loaded = new Map<string, number>();
  readonly #reading = new Set<string>();
  readonly #bodies = { network: 0, cache: 0 };

  constructor(base: string, files: readonly ModelFile[], source: FileSource, listener: ModelFilesListener) {
    this.root = new URL('model/', base).href;
    this.#files = files;
    this.#listener = listener;
    this.#source = source;
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

  /** All that has been read so far, a file that was read twice counted twice. */
  get loaded(): LoadedBytes {
    return { network_bytes: this.#bodies.network, cache_bytes: this.#bodies.cache };
  }

  /** The body of one of the variant's files. @throws Error when the server does not have it. */
  async stream(path: string): Promise<Body> {
    const incoming = await this.#open(path);
    return this.#count(path, () => Promise.resolve(incoming));
  }

  /**
   * `fetch` for libraries that build addresses themselves. One of the variant's files is asked for when the first
   * byte of it is read: a library that only wants to know whether it is there, or how large it is, downloads
   * nothing. Any other file is the library's business (some ask for optional ones).
   */
  readonly fetch: typeof fetch = (input, init) => {
    const url = this.#addressOf(input);
    const file = this.#files.find((one) => this.root + one.path === url);
    if (file === undefined) return fetch(input, init);
    const body = this.#count(file.path, () => this.#open(file.path));
    return Promise.resolve(new Response(body, { headers: { 'Content-Length': String(file.bytes) } }));
  };

  async #open(path: string): Promise<Incoming> {
    const size = this.#sizeOf(path);
    const open = (): Promise<Incoming> => this.#source.open(this.root + path, size);
    // A file that is none of the variant's is missed by the runtime alone.
    return size === undefined ? open() : this.#telling(open);
  }

  #count(path: string, open: () => Promise<Incoming>): Body {
    const expected = this.#sizeOf(path);
    let opened: Incoming | null = null;
    let read = 0;
    const next = async (): Promise<Chunk | null> => {
      opened ??= await open();
      const incoming = opened;
      const chunk = await this.#telling(() => incoming.read());
      const wrong =
        chunk === null && expected !== undefined && read < expected
          ? `ended after ${read} of ${expected} bytes`
          : chunk !== null && read === 0 && isHtml(chunk)
            ? 'is an HTML page'
            : null;
      if (wrong !== null) {
        return this.#telling(() => Promise.reject(new Error(`Failed to fetch model: ${this.root}${path} ${wrong}`)));
      }
      if (chunk !== null) this.#bodies[incoming.from] += chunk.byteLength;
      return chunk;
    };
    return new ReadableStream(
      {
        pull: async (controller) => {
          const chunk = await next();
          if (chunk === null) {
            controller.close();
            return;
          }
          this.#reading.add(path);
          read += chunk.byteLength;
          this.#loaded.set(path, read);
          this.#listener.progress(sum(this.#loaded.values()), this.#total);
          // Before the last bytes, and not at the end of the stream: who knows the format needs no end.
          if (read === expected) await this.#finish(path);
          controller.enqueue(chunk);
        },
        cancel: (reason) => opened?.cancel(reason),
      },
      // Nothing is read ahead: reading is what starts the download.
      { highWaterMark: 0 },
    );
  }

  async #telling<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (reason) {
      this.#listener.failed(reason);
      throw reason;
    }
  }

  #sizeOf(path: string): number | undefined {
    return this.#files.find((file) => file.path === path)?.bytes;
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

/** What a server answers that has no such file and says so in words, with a status that means success. */
function isHtml(start: Chunk): boolean {
  return /^\s*<(!doctype\s+html|html)\b/i.test(new TextDecoder().decode(start.subarray(0, 256)));
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
