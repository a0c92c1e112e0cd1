// What people import: chooses the device, loads its wasm and the model, and puts one face on both.
// The types and their documentation are in index.d.ts; what reaches the wasm is checked there.

/** @typedef {import("./index.d.ts").Device} Device */
/** @typedef {import("./index.d.ts").DeviceChoice} DeviceChoice */
/** @typedef {import("./index.d.ts").LoadOptions} LoadOptions */
/** @typedef {import("./index.d.ts").Source} Source */
/** @typedef {import("./index.d.ts").Decodable} Decodable */
/** @typedef {typeof import("./cpu/bitcodes.js")} Wasm */
/** @typedef {{ wasm: Wasm, memory: WebAssembly.Memory, device: Device }} Opened */

/** One module a device and page, opened at its first use. @type {Map<string, Promise<Opened>>} */
const opened = new Map();

/** @param {"webgpu" | "cpu"} kind @returns {Promise<Opened>} */
function open(kind) {
  let opening = opened.get(kind);
  if (!opening) {
    opening = start(kind);
    opened.set(kind, opening);
    // A failure is not kept: the next call tries again.
    opening.catch(() => opened.delete(kind));
  }
  return opening;
}

/** @param {"webgpu" | "cpu"} kind @returns {Promise<Opened>} */
async function start(kind) {
  const name = kind === "webgpu" ? await findAdapter() : "";
  // Each by its own name, so that bundlers find both.
  const wasm = await (kind === "webgpu" ? import("./webgpu/bitcodes.js") : import("./cpu/bitcodes.js"));
  const { memory } = await wasm.default();
  const adapter = await wasm.open();
  return { wasm, memory, device: { kind, adapter: name || adapter } };
}

/** What the browser tells of the GPU; asked before the wasm is loaded, which would be for nothing. */
async function findAdapter() {
  const gpu = /** @type {any} */ (globalThis.navigator)?.gpu;
  if (!gpu) throw new Error("no WebGPU in this browser, or not on this page (it takes https or localhost)");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("WebGPU has no adapter on this machine");
  // Burn's runtime measures its kernels with them, and ends where it cannot.
  if (!adapter.features.has("timestamp-query")) throw new Error("WebGPU has no timestamp queries in this browser");
  const { description, vendor, architecture, device } = adapter.info ?? {};
  return description || [vendor, architecture, device].filter(Boolean).join(" ");
}

/** @param {DeviceChoice} choice @returns {Promise<Opened>} */
async function choose(choice) {
  switch (choice) {
    case "webgpu":
    case "cpu":
      return open(choice);
    case "auto":
      try {
        return await open("webgpu");
      } catch (error) {
        const cpu = await open("cpu");
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
  throw new Error(`a file is ${Object.prototype.toString.call(source)}, expected a URL, an ArrayBuffer, a typed array or a Blob`);
}

/** @param {string} url @param {LoadOptions} options @returns {Promise<Uint8Array>} */
async function fetchBytes(url, { onProgress, signal }) {
  let response;
  try {
    response = await fetch(url, signal ? { signal } : {});
  } catch (error) {
    // What it was ended with stays what it is.
    if (signal?.aborted) throw error;
    throw new Error(`${url} cannot be loaded: ${messageOf(error)}`);
  }
  if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}`);
  // The length is that of what is sent, which compression makes another.
  const length = response.headers.get("content-encoding") ? 0 : Number(response.headers.get("content-length"));
  const total = length > 0 ? { totalBytes: length } : {};
  const chunks = [];
  let loadedBytes = 0;
  onProgress?.({ url, loadedBytes, ...total });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    loadedBytes += value.length;
    onProgress?.({ url, loadedBytes, ...total });
  }
  return new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (chunks)).arrayBuffer());
}

/** Codes; their bits are unpacked when they are first asked for. */
class Codes {
  /** @type {Uint8Array | undefined} */
  #bits;

  /** @param {Uint32Array} words @param {number} numBits @param {number} rows of a code */
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

/** What the two kinds of models have in common. @template {Quantized} Inner */
class Model {
  /** @type {Inner | undefined} */
  #inner;
  /** @type {Opened} */
  #opened;

  /** @param {Inner} inner @param {Opened} opened @param {number} rows of a code */
  constructor(inner, opened, rows) {
    this.#inner = inner;
    this.#opened = opened;
    this.device = opened.device;
    this.numBits = inner.numBits;
    this.rows = rows;
  }

  get inner() {
    if (!this.#inner) throw new Error("the model was freed");
    return this.#inner;
  }

  get memoryBytes() {
    return this.#opened.memory.buffer.byteLength;
  }

  /** @param {Float32Array} x */
  async encode(x) {
    return new Codes(await this.inner.encode(numbers(x)), this.numBits, this.rows);
  }

  /** @param {Float32Array} x */
  async logits(x) {
    return this.inner.logits(numbers(x));
  }

  /** @param {Decodable} codes */
  async decode(codes) {
    if (codes instanceof Uint32Array) return this.inner.decodeWords(codes);
    const bits = codes instanceof Uint8Array ? codes : codes?.bits;
    if (!(bits instanceof Uint8Array)) {
      throw new Error(`codes are ${Object.prototype.toString.call(codes)}, expected what encode gives, or a Uint8Array of bits or a Uint32Array of words`);
    }
    return this.inner.decodeBits(bits);
  }

  free() {
    const inner = this.#inner;
    this.#inner = undefined;
    inner?.free();
  }

  [Symbol.dispose]() {
    this.free();
  }
}

/** @typedef {Pick<import("./cpu/bitcodes.js").Autoencoder, "numBits" | "encode" | "logits" | "decodeBits" | "decodeWords" | "free">} Quantized */

/** @extends {Model<import("./cpu/bitcodes.js").Quantizer>} */
class Quantizer extends Model {
  /** @param {import("./cpu/bitcodes.js").Quantizer} inner @param {Opened} opened */
  constructor(inner, opened) {
    super(inner, opened, 1);
    this.features = inner.features;
  }

  /** @param {Float32Array} x */
  async quantize(x) {
    return this.inner.quantize(numbers(x));
  }
}

/** @extends {Model<import("./cpu/bitcodes.js").Autoencoder>} */
class Autoencoder extends Model {
  /** @param {import("./cpu/bitcodes.js").Autoencoder} inner @param {Opened} opened */
  constructor(inner, opened) {
    super(inner, opened, inner.tokens);
    this.height = inner.height;
    this.width = inner.width;
    this.tokens = inner.tokens;
  }

  /** @param {Float32Array} x */
  async reconstruct(x) {
    return this.inner.reconstruct(numbers(x));
  }
}

/** @param {Float32Array} x */
function numbers(x) {
  if (x instanceof Float32Array) return x;
  throw new Error(`the numbers are ${Object.prototype.toString.call(x)}, expected a Float32Array`);
}

/** @param {Source} source @param {LoadOptions & { prefix?: string }} [options] */
export async function loadQuantizer(source, options = {}) {
  const [opened, bytes] = await together(choose(options.device ?? "auto"), bytesOf(source, options));
  return new Quantizer(opened.wasm.Quantizer.load(bytes, options.prefix), opened);
}

/** @param {string | URL | { config: Source, model: Source }} source @param {LoadOptions} [options] */
export async function loadAutoencoder(source, options = {}) {
  const { config, model } = typeof source === "string" || source instanceof URL ? run(source) : source;
  const [opened, configBytes, modelBytes] = await together(
    choose(options.device ?? "auto"),
    bytesOf(config, options),
    bytesOf(model, options),
  );
  return new Autoencoder(opened.wasm.Autoencoder.load(configBytes, modelBytes), opened);
}

/** The files of a run. @param {string | URL} folder */
function run(folder) {
  const base = new URL(folder, globalThis.location?.href);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return { config: new URL("config.json", base), model: new URL("model.mpk", base) };
}

/** All of them, once the last has ended: none goes on after the first has failed. @template {unknown[]} T @param {{ [K in keyof T]: Promise<T[K]> }} promises @returns {Promise<T>} */
async function together(...promises) {
  await Promise.allSettled(promises);
  return /** @type {T} */ (/** @type {unknown} */ (await Promise.all(promises)));
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

/** The bits of a word that are set. @param {number} word */
function ones(word) {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
