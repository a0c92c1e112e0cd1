/** Where to compute. `auto` is WebGPU where there is one, and the CPU elsewhere. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** Where a model computes. */
export interface Device {
  readonly kind: "webgpu" | "cpu";
  /** The GPU as far as the browser tells, or how the CPU is used. */
  readonly adapter: string;
  /** Why `auto` did not take WebGPU. */
  readonly note?: string;
}

/** How far the loading of a file is. */
export interface Progress {
  readonly url: string;
  readonly loadedBytes: number;
  /** Where the server says how long the file is. */
  readonly totalBytes?: number;
}

export interface LoadOptions {
  /** `auto` by default. */
  device?: DeviceChoice;
  /** Called while a URL is loaded. */
  onProgress?: (progress: Progress) => void;
  /** Ends the loading of a URL. */
  signal?: AbortSignal;
}

/** A file: its URL, or its bytes. */
export type Source = string | URL | ArrayBuffer | ArrayBufferView | Blob;

/** Codes, one after the other. */
export interface Codes {
  /** How many vectors, or images. */
  readonly length: number;
  /** Bits of a row: of a vector, or of a token of an image. */
  readonly numBits: number;
  /** One number a bit, 0 or 1, unpacked when first asked for; bit `p` of row `r` is `bits[r * numBits + p]`. */
  readonly bits: Uint8Array;
  /**
   * The rows packed, `ceil(numBits / 32)` words each: bit `p` is bit `p % 32`, from the least
   * significant, of word `floor(p / 32)`; bits past the last are 0.
   */
  readonly words: Uint32Array;
}

/** What can be decoded: codes, or their bits, or their words. */
export type Decodable = Pick<Codes, "bits"> | Uint8Array | Uint32Array;

interface Model {
  readonly device: Device;
  /** Bits of a vector, or of a token of an image. */
  readonly numBits: number;
  /** Bytes of WebAssembly memory in use on this device, by all models together. */
  readonly memoryBytes: number;
  /** Gives the memory back; the model cannot be used afterwards. */
  free(): void;
  [Symbol.dispose](): void;
}

/** A vector quantizer: `features` numbers to `numBits` bits and back. */
export interface Quantizer extends Model {
  readonly features: number;
  /** Vectors, one after the other, to codes. */
  encode(vectors: Float32Array): Promise<Codes>;
  /** Codes to vectors. */
  decode(codes: Decodable): Promise<Float32Array>;
  /** `decode(encode(vectors))`. */
  quantize(vectors: Float32Array): Promise<Float32Array>;
  /** How decided each bit is: a bit is 1 where its logit is above 0. */
  logits(vectors: Float32Array): Promise<Float32Array>;
}

/** The toy autoencoder: images of `height * width` pixels in [0, 1] to `tokens * numBits` bits and back. */
export interface Autoencoder extends Model {
  readonly height: number;
  readonly width: number;
  readonly tokens: number;
  /** Images, one after the other, row by row, to codes of `tokens` rows each. */
  encode(images: Float32Array): Promise<Codes>;
  /** Codes to images. */
  decode(codes: Decodable): Promise<Float32Array>;
  /** `decode(encode(images))`. */
  reconstruct(images: Float32Array): Promise<Float32Array>;
  /** How decided each bit is: a bit is 1 where its logit is above 0. */
  logits(images: Float32Array): Promise<Float32Array>;
}

/**
 * Loads a quantizer from a `.safetensors` file; `prefix` names one of several codebooks.
 * Rejects with an `Error` that says what is wrong.
 */
export function loadQuantizer(source: Source, options?: LoadOptions & { prefix?: string }): Promise<Quantizer>;

/**
 * Loads an autoencoder as `bitcodes train` saves it: from the URL of the folder of the run, or from
 * its two files `config.json` and `model.mpk`. Rejects with an `Error` that says what is wrong.
 */
export function loadAutoencoder(
  source: string | URL | { config: Source; model: Source },
  options?: LoadOptions,
): Promise<Autoencoder>;

/** The Hamming distance in bits of each row of `words` to the row `row`. */
export function hammingDistances(words: Uint32Array, row: Uint32Array): Uint32Array;
