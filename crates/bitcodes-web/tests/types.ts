// Code as the package's users write it. `npm test` type-checks this file and never runs it.

import { hammingDistances, loadAutoencoder, loadQuantizer } from "../../../target/web/pkg/index.js";
import type { Codes, Device, Quantizer } from "../../../target/web/pkg/index.js";

export async function quantizes(url: URL): Promise<Uint32Array> {
  using quantizer: Quantizer = await loadQuantizer(url, {
    device: "auto",
    prefix: "model.quantizer",
    onProgress: ({ loadedBytes, totalBytes }) => console.log(loadedBytes / (totalBytes ?? Infinity)),
    signal: AbortSignal.timeout(1000),
  });
  const codes: Codes = await quantizer.encode(new Float32Array(quantizer.features));
  const back: Float32Array = await quantizer.decode(codes);
  await quantizer.decode(codes.words);
  await quantizer.decode(codes.bits);
  await quantizer.reconstruct(codes);
  await quantizer.quantize(back);
  await quantizer.logits(back);
  return hammingDistances(codes.words, codes.words);
}

export async function autoencodes(config: Blob, model: ArrayBuffer): Promise<Device> {
  const autoencoder = await loadAutoencoder({ config, model: new Uint8Array(model) });
  const images = new Float32Array(autoencoder.height * autoencoder.width);
  const { length, numBits, bits } = await autoencoder.encode(images);
  if (bits.length !== length * autoencoder.tokens * numBits) throw new Error("not the codes of images");
  await autoencoder.roundTrip(images);
  console.log(autoencoder.memoryBytes);
  autoencoder.free();
  return autoencoder.device;
}

// @ts-expect-error: there is no such device.
void loadQuantizer("codebook.safetensors", { device: "gpu" });
