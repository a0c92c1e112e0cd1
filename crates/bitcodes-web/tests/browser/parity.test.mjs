// Tests that bits in the browser are those of the reference and of the program.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { readdir } from "node:fs/promises";
import { DEVICES, ROOT, blank, launch, npy, safetensors, test } from "./support.mjs";

/** A bit whose logit is nearer to 0 than this may be either, because rounding decides it. */
const MARGIN = 1e-4;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** Half of the distance from 1 to the next f32. */
const UNIT = 2 ** -24;

/**
 * Bounds of the differences of logits and outputs from the reference's. Both sums have the same
 * number of terms and may be rounded in any order, so the bound is twice the number of roundings
 * times the sum of the terms' magnitudes.
 */
function bounds(golden) {
  const { values: codebook, shape } = golden.tensor("codebook");
  const [rows, features] = shape;
  const x = golden.tensor("x").values;
  const row = (index) => codebook.slice(index * features, (index + 1) * features);
  const logits = [];
  for (let start = 0; start < x.length; start += features) {
    for (let bit = 0; bit < rows / 2; bit++) {
      const [zero, one] = [row(2 * bit), row(2 * bit + 1)];
      const sizes = zero.reduce((sum, value, feature) => sum + Math.abs(x[start + feature]) * (Math.abs(value) + Math.abs(one[feature])), 0);
      logits.push(2 * (features + 2) * UNIT * sizes);
    }
  }
  const outputs = Array.from({ length: features }, (_, feature) => {
    const sizes = Array.from({ length: rows }, (_, index) => Math.abs(codebook[index * features + feature]));
    // An output adds a vector and a difference of both vectors for each pair.
    return 2 * (rows + 2) * UNIT * 2 * sizes.reduce((sum, size) => sum + size);
  });
  return { logits, outputs };
}

/** Returns how many bits differ. Fails if a bit differs whose logit is not near 0. */
function compare(found, wanted, logits, what) {
  assert.equal(found.length, wanted.length, `${what}: number of bits`);
  let differing = 0;
  found.forEach((bit, index) => {
    if (bit === wanted[index]) return;
    differing += 1;
    assert.ok(Math.abs(logits[index]) < MARGIN, `${what}: bit ${index} is ${bit} at a logit of ${logits[index]}`);
  });
  return differing;
}

for (const device of DEVICES) {
  test(`the golden files on ${device} have the reference's bits`, async (t) => {
    const page = await blank(browser);
    const folder = new URL("tests/golden/", ROOT);
    const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"));
    assert.ok(names.length >= 6, "the golden files are there");
    for (const name of names) {
      const golden = await safetensors(new URL(name, folder));
      const [x, logits, y] = ["x", "logits", "y"].map((tensor) => golden.tensor(tensor).values);
      const { shape, values: wanted } = golden.tensor("bits");
      const found = await page.evaluate(
        async ({ name, x, device }) => {
          const quantizer = await bitcodes.loadQuantizer(`/golden/${name}`, { device });
          const codes = await quantizer.encode(Float32Array.from(x));
          const arrays = {
            bits: codes.bits,
            words: codes.words,
            quantized: await quantizer.quantize(Float32Array.from(x)),
            decoded: await quantizer.decode(codes),
            fromWords: await quantizer.decode(codes.words),
            logits: await quantizer.logits(Float32Array.from(x)),
          };
          const plain = Object.entries(arrays).map(([key, values]) => [key, [...values]]);
          return { device: quantizer.device, numBits: codes.numBits, length: codes.length, ...Object.fromEntries(plain) };
        },
        { name, x, device },
      );
      assert.equal(found.device.kind, device);
      assert.deepEqual([found.numBits, found.length], [shape.at(-1), wanted.length / shape.at(-1)]);
      const differing = compare(found.bits, wanted, logits, name);
      t.diagnostic(`${name}: ${differing} of ${wanted.length} bits differ, all of them with |logit| < ${MARGIN}`);

      const rowWords = Math.ceil(found.numBits / 32);
      found.bits.forEach((bit, index) => {
        const [row, p] = [Math.floor(index / found.numBits), index % found.numBits];
        assert.equal((found.words[row * rowWords + Math.floor(p / 32)] >>> p % 32) & 1, bit, `${name}: word of bit ${index}`);
      });
      assert.deepEqual(found.decoded, found.quantized);
      assert.deepEqual(found.fromWords, found.quantized);
      const bound = bounds(golden);
      const features = y.length / found.length;
      found.quantized.forEach((value, index) => {
        const start = Math.floor(index / features) * found.numBits;
        const same = found.bits.slice(start, start + found.numBits).every((bit, p) => bit === wanted[start + p]);
        const error = Math.abs(value - y[index]);
        if (same) assert.ok(error <= bound.outputs[index % features], `${name}: output ${index} is ${value}, wanted ${y[index]}`);
      });
      found.logits.forEach((logit, index) => assert.ok(Math.abs(logit - logits[index]) <= bound.logits[index], `${name}: logit ${index} is ${logit}, wanted ${logits[index]}`));
    }
    assert.deepEqual(page.faults, []);
  });

  test(`the test digits on ${device} have the program's bits`, async (t) => {
    const { shape, values } = await npy(process.env.DIGIT_CODES);
    assert.deepEqual(shape, [297, 4, 1]);
    const wanted = values.flatMap((byte) => Array.from({ length: 8 }, (_, p) => (byte >> p) & 1));
    const page = await blank(browser);
    const found = await page.evaluate(async (device) => {
      const { loadDigits } = await import("/digits.js");
      const digits = await loadDigits("/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz");
      const model = await bitcodes.loadAutoencoder("/model/", { device });
      const together = await model.encode(digits.pixels);
      const single = [];
      for (let index = 0; index < digits.count; index++) {
        const pixels = digits.pixels.subarray(index * digits.size, (index + 1) * digits.size);
        single.push(...(await model.encode(pixels)).bits);
      }
      return { device: model.device, bits: [...together.bits], single };
    }, device);
    assert.equal(found.device.kind, device);
    for (const [how, bits] of [["together", found.bits], ["one by one", found.single]]) {
      assert.equal(bits.length, wanted.length, `${how}: number of bits`);
      const apart = new Set(wanted.flatMap((bit, index) => (bit === bits[index] ? [] : [Math.floor(index / 8)])));
      // The beam search may find two codes that are equally near to a vector except for rounding.
      // They can differ in many bits with large logits, so the test counts vectors and not bits.
      // Hardly any vector has such codes.
      assert.ok(apart.size <= 1, `${how}: vectors ${[...apart]} have other bits`);
      t.diagnostic(`${how}: ${apart.size} of ${wanted.length / 8} vectors have other bits`);
    }
    t.diagnostic(`on ${found.device.adapter}`);
    assert.deepEqual(page.faults, []);
  });
}
