// The module that users import. It chooses the device, loads its wasm and the model, and gives both
// devices the same interface. The types and their documentation are in index.d.ts. The wasm checks
// the values that are passed to it.

/** @typedef {import("./index.d.ts").Device} Device */
/** @typedef {import("./index.d.ts").DeviceChoice} DeviceChoice */
/** @typedef {import("./index.d.ts").LoadOptions} LoadOptions */
/** @typedef {import("./index.d.ts").Source} Source */
/** @typedef {import("./index.d.ts").Decodable} Decodable */
/** @typedef {typeof import("./cpu/bitcodes.js")} Wasm */
/** @typedef {{ wasm: Wasm, memory: WebAssembly.Memory, device: Device, state: State }} Opened */
/**
 * State of a module: why it cannot be used any more, and how to reject the promises that wait for
 * it.
 * @typedef {{ failure?: Error, waiting: Set<(reason: Error) => void> }} State
 */

/** The most numbers to compute with at a time. Larger inputs are computed in blocks. */
const BLOCK = 1 << 22;

/** One module for each device, opened at its first use. @type {Map<string, Promise<Opened>>} */
const opened = new Map();

/** @param {"webgpu" | "cpu"} kind @returns {Promise<Opened>} */
function open(kind) {
  let opening = opened.get(kind);
  if (!opening) {
    opening = start(kind);
    opened.set(kind, opening);
    // A failure is not kept, so that the next call tries again.
    opening.catch(() => opened.delete(kind));
  }
  return opening;
}

/** @param {"webgpu" | "cpu"} kind @returns {Promise<Opened>} */
async function start(kind) {
  const name = kind === "webgpu" ? await findAdapter() : "";
  // Two literal names, so that bundlers find both modules.
  const wasm = await (kind === "webgpu" ? import("./webgpu/bitcodes.js") : import("./cpu/bitcodes.js"));
  const { memory } = await wasm.default();
  /** @type {State} */
  const state = { waiting: new Set() };
  const adapter = await wasm.open((/** @type {string} */ message) => {
    state.failure = new Error(`${message} (load the page again to use this device again)`);
    for (const reject of state.waiting) reject(state.failure);
    state.waiting.clear();
  });
  return { wasm, memory, device: { kind, adapter: name || adapter }, state };
}

/** @param {"webgpu" | "cpu"} kind */
async function usable(kind) {
  const opened = await open(kind);
  if (opened.state.failure) throw opened.state.failure;
  return opened;
}

/** Returns the browser's description of the GPU. This comes first so that no wasm is loaded in vain if there is no GPU. */
async function findAdapter() {
  const gpu = /** @type {any} */ (globalThis.navigator)?.gpu;
  if (!gpu) throw new Error("no WebGPU in this browser, or not on this page (it takes https or localhost)");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("WebGPU has no adapter on this machine");
  // Burn's runtime measures its kernels with timestamp queries, and panics without them.
  if (!adapter.features.has("timestamp-query")) throw new Error("WebGPU has no timestamp queries in this browser");
  const { description, vendor, architecture, device } = adapter.info ?? {};
  return description || [vendor, architecture, device].filter(Boolean).join(" ");
}

/** @param {DeviceChoice} choice @returns {Promise<Opened>} */
async function choose(choice) {
  switch (choice) {
    case "webgpu":
    case "cpu":
      return usable(choice);
    case "auto":
      try {
        return await usable("webgpu");
      } catch (error) {
        const cpu = await usable("cpu");
        return { ...cpu, device: { ...cpu.device, note: messageOf(error) } };
      }
    default:
      throw new Error(`device is ${JSON.stringify(choice)}, expected "auto", "webgpu" or "cpu"`);
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {Source} source @param {LoadOptions} options @returns {Promise<Uint8Array>} */
async function bytesOf(source, options) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (typeof source === "string" || source instanceof URL) return fetchBytes(String(source), options);
  throw new Error(`a file is ${kindOf(source)}, expected a URL, an ArrayBuffer, a typed array or a Blob`);
}

/** @param {string} url @param {LoadOptions} options @returns {Promise<Uint8Array>} */
async function fetchBytes(url, { onProgress, signal }) {
  let response;
  try {
    response = await fetch(url, signal ? { signal } : {});
  } catch (error) {
    // An abort passes on the reason that the caller gave.
    if (signal?.aborted) throw error;
    throw new Error(`${url} cannot be loaded: ${messageOf(error)}`);
  }
  if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}`);
  // The header gives the length as sent, which with compression is not the length of the file.
  const length = response.headers.get("content-encoding") ? 0 : Number(response.headers.get("content-length"));
  const total = length > 0 ? { totalBytes: length } : {};
  const chunks = [];
  let loadedBytes = 0;
  onProgress?.({ url, loadedBytes, ...total });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (signal?.aborted) throw error;
      throw new Error(`${url} cannot be loaded to its end: ${messageOf(error)}`);
    });
    if (done) break;
    chunks.push(value);
    loadedBytes += value.length;
    onProgress?.({ url, loadedBytes, ...total });
  }
  return new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (chunks)).arrayBuffer());
}

/** Codes. Their bits are unpacked at the first access. */
class Codes {
  /** @type {Uint8Array | undefined} */
  #bits;

  /** @param {Uint32Array} words @param {number} numBits @param {number} rows Number of rows of a code. */
  constructor(words, numBits, rows) {
    this.words = words;
    this.numBits = numBits;
    this.length = words.length / (rows * Math.ceil(numBits / 32));
  }

  get bits() {
    if (this.#bits) return this.#bits;
    const { words, numBits } = this;
    const rowWords = Math.ceil(numBits / 32);
    const bits = new Uint8Array((words.length / rowWords) * numBits);
    for (let row = 0, at = 0; row < words.length; row += rowWords) {
      for (let p = 0; p < numBits; p++, at++) bits[at] = (words[row + (p >>> 5)] >>> (p & 31)) & 1;
    }
    return (this.#bits = bits);
  }
}

/** Base class of the two kinds of models. @template {Quantized} Inner */
class Model {
  /** @type {Inner | undefined} */
  #inner;
  /** @type {Opened} */
  #opened;
  /** @type {{ input: number, rows: number, numbers: number }} */
  #sizes;

  /**
   * @param {Inner} inner
   * @param {Opened} opened
   * @param {{ input: number, rows: number, numbers: number }} sizes Of one vector or image: its
   *   length, the rows of its code, and about how many numbers the computation holds for it.
   */
  constructor(inner, opened, sizes) {
    this.#inner = inner;
    this.#opened = opened;
    this.#sizes = sizes;
    this.device = opened.device;
    this.numBits = inner.numBits;
  }

  get memoryBytes() {
    return this.#opened.memory.buffer.byteLength;
  }

  /** @param {Float32Array} x */
  async encode(x) {
    const words = await this.compute(x, (inner, x) => inner.encode(x), Uint32Array);
    return new Codes(words, this.numBits, this.#sizes.rows);
  }

  /** @param {Float32Array} x */
  async logits(x) {
    return this.compute(x, (inner, x) => inner.logits(x), Float32Array);
  }

  /** @param {Decodable} codes */
  async decode(codes) {
    return this.fromCodes(codes, (inner, bits) => inner.decodeBits(bits), (inner, words) => inner.decodeWords(words));
  }

  /**
   * Turns codes into numbers, by one call for bits or by another for words.
   * @param {Decodable} codes
   * @param {(inner: Inner, bits: any) => Promise<Float32Array>} ofBits
   * @param {(inner: Inner, words: any) => Promise<Float32Array>} ofWords
   */
  async fromCodes(codes, ofBits, ofWords) {
    const { rows } = this.#sizes;
    if (codes instanceof Uint32Array) {
      const words = rows * Math.ceil(this.numBits / 32);
      return this.#blocks(codes, words, ofWords, Float32Array);
    }
    const bits = codes instanceof Uint8Array ? codes : codes?.bits;
    if (!(bits instanceof Uint8Array)) {
      throw new Error(`codes are ${kindOf(codes)}, expected what encode gives, or a Uint8Array of bits or a Uint32Array of words`);
    }
    return this.#blocks(bits, rows * this.numBits, ofBits, Float32Array);
  }

  free() {
    const inner = this.#inner;
    this.#inner = undefined;
    // A module that has failed cannot free memory.
    if (!this.#opened.state.failure) inner?.free();
  }

  [Symbol.dispose]() {
    this.free();
  }

  /**
   * @template {Float32Array | Uint32Array} Out
   * @param {Float32Array} x
   * @param {(inner: Inner, x: any) => Promise<Out>} step
   * @param {new (length: number) => Out} out
   */
  async compute(x, step, out) {
    if (!(x instanceof Float32Array)) throw new Error(`the numbers are ${kindOf(x)}, expected a Float32Array`);
    return this.#blocks(x, this.#sizes.input, step, out);
  }

  /**
   * Computes `x` in blocks that are sure to fit in memory.
   * @template {Float32Array | Uint32Array} Out
   * @param {Float32Array | Uint8Array | Uint32Array} x
   * @param {number} each
   * @param {(inner: Inner, x: any) => Promise<Out>} step
   * @param {new (length: number) => Out} out
   * @returns {Promise<Out>}
   */
  async #blocks(x, each, step, out) {
    const block = each * Math.max(1, Math.floor(BLOCK / this.#sizes.numbers));
    // An input of the wrong length is passed on as a whole, so that the wasm refuses it.
    if (x.length <= block || x.length % each !== 0) return this.#call((inner) => step(inner, x));
    const parts = [];
    for (let start = 0; start < x.length; start += block) {
      parts.push(await this.#call((inner) => step(inner, x.subarray(start, start + block))));
    }
    const all = new out(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  /**
   * Calls the module. The promise is rejected if the module fails.
   * @template T
   * @param {(inner: Inner) => Promise<T>} question
   * @returns {Promise<T>}
   */
  #call(question) {
    const { state } = this.#opened;
    return new Promise((resolve, reject) => {
      if (!this.#inner) throw new Error("the model was freed");
      if (state.failure) throw state.failure;
      state.waiting.add(reject);
      const done = () => state.waiting.delete(reject);
      try {
        question(this.#inner).then(resolve, reject).finally(done);
      } catch (error) {
        done();
        throw error;
      }
    });
  }
}

/** @typedef {Pick<import("./cpu/bitcodes.js").Autoencoder, "numBits" | "encode" | "logits" | "decodeBits" | "decodeWords" | "free">} Quantized */

/** @extends {Model<import("./cpu/bitcodes.js").Quantizer>} */
class Quantizer extends Model {
  /** @param {import("./cpu/bitcodes.js").Quantizer} inner @param {Opened} opened */
  constructor(inner, opened) {
    const { features, numBits } = inner;
    super(inner, opened, { input: features, rows: 1, numbers: Math.max(features, numBits) });
    this.features = features;
  }

  /** @param {Float32Array} x */
  async quantize(x) {
    return this.compute(x, (inner, x) => inner.quantize(x), Float32Array);
  }

  /** @param {Decodable} codes */
  async reconstruct(codes) {
    return this.fromCodes(codes, (inner, bits) => inner.reconstructBits(bits), (inner, words) => inner.reconstructWords(words));
  }
}

/** @extends {Model<import("./cpu/bitcodes.js").Autoencoder>} */
class Autoencoder extends Model {
  /** @param {import("./cpu/bitcodes.js").Autoencoder} inner @param {Opened} opened */
  constructor(inner, opened) {
    const { height, width, tokens, numBits } = inner;
    // The largest layers of the mixer hold 4 times its width of 128 for each token.
    const numbers = tokens * Math.max(512, numBits);
    super(inner, opened, { input: height * width, rows: tokens, numbers });
    this.height = height;
    this.width = width;
    this.tokens = tokens;
  }

  /** @param {Float32Array} x */
  async roundTrip(x) {
    return this.compute(x, (inner, x) => inner.roundTrip(x), Float32Array);
  }
}

/** @param {unknown} value */
function kindOf(value) {
  return Object.prototype.toString.call(value);
}

/** @param {Source} source @param {LoadOptions & { prefix?: string }} [options] */
export async function loadQuantizer(source, options) {
  const [opened, bytes] = await loadAll([source], options);
  return new Quantizer(opened.wasm.Quantizer.load(bytes, options?.prefix), opened);
}

/** @param {string | URL | { config: Source, model: Source }} source @param {LoadOptions} [options] */
export async function loadAutoencoder(source, options) {
  const files = typeof source === "string" || source instanceof URL ? run(source) : source;
  if (!files?.config || !files.model) {
    throw new Error(`the autoencoder is ${kindOf(source)}, expected the URL of a run's folder, or its files { config, model }`);
  }
  const [opened, config, model] = await loadAll([files.config, files.model], options);
  return new Autoencoder(opened.wasm.Autoencoder.load(config, model), opened);
}

/**
 * Opens a device and loads files at the same time. If one of them fails, the others are aborted.
 * @param {Source[]} sources
 * @param {LoadOptions | null} [options]
 * @returns {Promise<[Opened, ...Uint8Array[]]>}
 */
async function loadAll(sources, options) {
  const controller = new AbortController();
  const signals = options?.signal ? [options.signal, controller.signal] : [controller.signal];
  const loading = { ...options, signal: AbortSignal.any(signals) };
  try {
    const files = sources.map((source) => bytesOf(source, loading));
    return /** @type {[Opened, ...Uint8Array[]]} */ (await Promise.all([choose(loading.device ?? "auto"), ...files]));
  } catch (error) {
    controller.abort();
    throw error;
  }
}

/** Returns the URLs of a run's files. @param {string | URL} folder */
function run(folder) {
  const base = new URL(folder, globalThis.location?.href);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return { config: new URL("config.json", base), model: new URL("model.mpk", base) };
}

/** @param {Uint32Array} words @param {Uint32Array} row */
export function hammingDistances(words, row) {
  const each = row.length;
  if (each === 0 || words.length % each !== 0) {
    throw new Error(`${words.length} words, expected rows of as many as there are in one: ${each}`);
  }
  return Uint32Array.from({ length: words.length / each }, (_, index) => {
    let distance = 0;
    for (let word = 0; word < each; word++) distance += ones(words[index * each + word] ^ row[word]);
    return distance;
  });
}

/** Counts the bits of a word that are 1. @param {number} word */
function ones(word) {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
