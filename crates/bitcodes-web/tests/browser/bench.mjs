// Times the page and the package in a browser. The figures are for people; no test asserts them.

import { cpus } from "node:os";
import { blank, launch, open } from "./support.mjs";

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const browser = await launch();
console.log(`${cpus().length} x ${cpus()[0].model}, Chromium ${browser.version()}`);

for (const device of ["cpu", "webgpu"]) {
  const times = [];
  for (let run = 0; run < 5; run++) {
    const page = await open(browser, `?device=${device}`);
    await page.waitForFunction(() => performance.getEntriesByName("ready").length > 0);
    times.push(await page.evaluate(() => performance.getEntriesByName("ready")[0].startTime));
    await page.context().close();
  }
  console.log(`page ready on ${device}: ${median(times).toFixed(0)} ms after opening (of 5, each without a cache, the slowest ${Math.max(...times).toFixed(0)})`);

  const page = await blank(browser);
  const encodes = await page.evaluate(async (device) => {
    const model = await bitcodes.loadAutoencoder("/model/", { device });
    const image = Float32Array.from({ length: 64 }, (_, index) => (index % 9) / 8);
    const times = [];
    for (let run = 0; run < 101; run++) {
      image[run % 64] = Math.random();
      const start = performance.now();
      await model.encode(image);
      times.push(performance.now() - start);
    }
    return times;
  }, device);
  const [first, ...later] = encodes;
  console.log(`bits of a digit on ${device}: ${median(later).toFixed(2)} ms (of 100, the slowest ${Math.max(...later).toFixed(2)}), the first ${first.toFixed(1)}`);
  await page.context().close();
}

const [VECTORS, FEATURES, BITS] = [65_536, 64, 32];
const page = await blank(browser);
const { same, simd128, scalar } = await page.evaluate(
  async ({ VECTORS, FEATURES, BITS }) => {
    // Numbers of a linear congruential generator, in [-1, 1).
    let state = 1;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) | 0) / 2 ** 31;
    const codebook = Float32Array.from({ length: 2 * BITS * FEATURES }, random);
    const header = JSON.stringify({
      codebook: { dtype: "F32", shape: [2 * BITS, FEATURES], data_offsets: [0, codebook.byteLength] },
    }).padEnd(96);
    const file = new Uint8Array(8 + header.length + codebook.byteLength);
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
    file.set(new TextEncoder().encode(header), 8);
    file.set(new Uint8Array(codebook.buffer), 8 + header.length);
    const x = Float32Array.from({ length: VECTORS * FEATURES }, random);

    const quantizers = [];
    for (const flavor of ["cpu", "scalar"]) {
      const wasm = await import(`/pkg/${flavor}/bitcodes.js`);
      await wasm.default();
      await wasm.open();
      quantizers.push(wasm.Quantizer.load(file));
    }
    const answers = [];
    for (const quantizer of quantizers) {
      answers.push([await quantizer.encode(x), await quantizer.logits(x)]);
    }
    const [[words, logits], [others]] = answers;
    // The two builds may round differently, so a bit may differ if its logit is near 0.
    const same = words.every((word, row) =>
      Array.from({ length: BITS }, (_, p) => p).every(
        (p) => ((word ^ others[row]) >>> p) % 2 === 0 || Math.abs(logits[row * BITS + p]) < 1e-4,
      ),
    );
    const times = [[], []];
    for (let run = 0; run < 7; run++) {
      for (const [index, quantizer] of quantizers.entries()) {
        const start = performance.now();
        await quantizer.logits(x);
        const logits = performance.now() - start;
        await quantizer.encode(x);
        times[index].push([logits, performance.now() - start - logits]);
      }
    }
    return { same, simd128: times[0], scalar: times[1] };
  },
  { VECTORS, FEATURES, BITS },
);
if (!same) throw new Error("the two builds give other bits");
["logits", "encode"].forEach((what, index) => {
  const [fast, slow] = [simd128, scalar].map((times) => median(times.map((time) => time[index])));
  console.log(
    `${what} of ${VECTORS} x ${FEATURES} x ${BITS} on the CPU, in turn, medians of 7: ${fast.toFixed(1)} ms with simd128, ${slow.toFixed(1)} ms without, ratio ${(slow / fast).toFixed(2)}`,
  );
});
await browser.close();
