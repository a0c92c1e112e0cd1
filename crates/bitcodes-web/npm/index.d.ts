/** The device to compute on. `auto` takes WebGPU if the browser has it, and else the CPU. */
export type DeviceChoice = "auto" | "webgpu" | "cpu";

/** The device that a model computes on. */
export interface Device {
  readonly kind: "webgpu" | "cpu";
  /** Description of the GPU as the browser gives it, or of how the CPU is used. */
  readonly adapter: string;
  /** The reason why `auto` did not take WebGPU, if it did not. */
  readonly note?: string;
}

/** Progress of loading a file. */
export interface Progress {
  readonly url: string;
  readonly loadedBytes: number;
  /** Length of the file, if the server tells it. */
  readonly totalBytes?: number;
}

export interface LoadOptions {
  /** The device to compute on; `auto` by default. */
  device?: DeviceChoice;
  /** Called from time to time while a URL is loaded. */
  onProgress?: (progress: Progress) => void;
  /** Aborts the loading of a URL. */
  signal?: AbortSignal;
}

/** A file, given as its URL or as its bytes. */
export type Source = string | URL | ArrayBuffer | ArrayBufferView | Blob;

/** The codes of vectors or of images. */
export interface Codes {
  /** Number of codes: of vectors, or of images. */
  readonly length: number;
  /** Number of bits of a row. A row is the code of a vector, or of one token of an image. */
  readonly numBits: number;
  /**
   * The bits, one number per bit, 0 or 1. Bit `p` of row `r` is `bits[r * numBits + p]`.
   * They are unpacked from `words` at the first access.
   */
  readonly bits: Uint8Array;
  /**
   * The packed codes, `ceil(numBits / 32)` words for each row. Bit `p` of a row is in the row's
   * word `floor(p / 32)` at position `p % 32`, counted from the least significant bit. Unused
   * positions are 0.
   */
  readonly words: Uint32Array;
}

/** Codes to decode: the result of `encode`, or its bits, or its words. */
export type Decodable = Pick<Codes, "bits"> | Uint8Array | Uint32Array;

interface Model {
  readonly device: Device;
  /** Number of bits of a vector, or of a token of an image. */
  readonly numBits: number;
  /** Bytes of WebAssembly memory in use by all models on this device together. */
  readonly memoryBytes: number;
  /** Frees the model's memory. The model cannot be used afterwards. */
  free(): void;
  [Symbol.dispose](): void;
}

/** A vector quantizer. It turns a vector of `features` numbers into `numBits` bits and back. */
export interface Quantizer extends Model {
  /** Number of features of a vector. */
  readonly features: number;
  /** Encodes vectors, which follow one another in the array. */
  encode(vectors: Float32Array): Promise<Codes>;
  /**
   * Decodes codes to vectors, as a model's next layer sees them: in normalized units if the
   * quantizer normalizes.
   */
  decode(codes: Decodable): Promise<Float32Array>;
  /** Decodes codes to vectors in the units of the vectors that were encoded. */
  reconstruct(codes: Decodable): Promise<Float32Array>;
  /** Quantizes vectors: the same as `decode` of `encode`. */
  quantize(vectors: Float32Array): Promise<Float32Array>;
  /** Returns the logit of each bit. A bit is 1 if its logit is above 0. */
  logits(vectors: Float32Array): Promise<Float32Array>;
}

/** The toy autoencoder. It turns an image of `height * width` pixels in [0, 1] into `tokens * numBits` bits and back. */
export interface Autoencoder extends Model {
  /** Height of an image in pixels. */
  readonly height: number;
  /** Width of an image in pixels. */
  readonly width: number;
  /** Number of tokens of an image. */
  readonly tokens: number;
  /** Encodes images, which follow one another in the array, row by row. Each code has `tokens` rows. */
  encode(images: Float32Array): Promise<Codes>;
  /** Decodes codes to images. */
  decode(codes: Decodable): Promise<Float32Array>;
  /** Encodes images and decodes their codes: the same as `decode` of `encode`. */
  roundTrip(images: Float32Array): Promise<Float32Array>;
  /** Returns the logit of each bit. A bit is 1 if its logit is above 0. */
  logits(images: Float32Array): Promise<Float32Array>;
}

/**
 * Loads a quantizer from a `.safetensors` file. `prefix` chooses a codebook if the file holds
 * several. The promise is rejected with an `Error` that says what is wrong.
 */
export function loadQuantizer(source: Source, options?: LoadOptions & { prefix?: string }): Promise<Quantizer>;

/**
 * Loads an autoencoder that `bitcodes train` saved, from the URL of the run's folder or from the
 * two files `config.json` and `model.mpk` of that folder. The promise is rejected with an `Error`
 * that says what is wrong.
 */
export function loadAutoencoder(
  source: string | URL | { config: Source; model: Source },
  options?: LoadOptions,
): Promise<Autoencoder>;

/** Returns the Hamming distance, in bits, from each row of `words` to `row`. */
export function hammingDistances(words: Uint32Array, row: Uint32Array): Uint32Array;
