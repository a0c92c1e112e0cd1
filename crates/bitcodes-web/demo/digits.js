// Loading the test digits from the same files as the training does.

/**
 * Loads images and labels in MNIST's file format, gzipped or not.
 * @param {string} images @param {string} labels
 */
export async function loadDigits(images, labels) {
  const [pixels, digits] = await Promise.all([load(images, 3), load(labels, 1)]);
  const [count, height, width] = pixels.dims;
  const size = height * width;
  return {
    count,
    size,
    labels: digits.values,
    /** The pixels of all images, in [0, 1]. */
    pixels: Float32Array.from(pixels.values, (value) => value / 255),
  };
}

/** @param {string} url @param {number} rank */
async function load(url, rank) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  let bytes = new Uint8Array(await response.arrayBuffer());
  // Some servers send a .gz file as it is, others let the browser decompress it.
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    bytes = new Uint8Array(await new Response(unpacked).arrayBuffer());
  }
  const header = 4 + 4 * rank;
  const view = new DataView(bytes.buffer);
  const dims = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const values = bytes.subarray(header);
  if (values.length !== dims.reduce((product, dim) => product * dim, 1)) {
    throw new Error(`${url}: ${values.length} values, expected ${dims.join(" x ")}`);
  }
  return { dims, values };
}
