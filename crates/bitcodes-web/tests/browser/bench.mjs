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
const { same, times } = await page.evaluate(
  async ({ VECTORS, FEATURES, BITS }) => {
    // Numbers of a linear congruential generator, in [-1, 1).
    let state = 1;
    const random = () => (state = (Math.imul(state, 1664525) + 1013904223) | 0) / 2 ** 31;
    const numbers = (count, scale) => Float32Array.from({ length: count }, () => scale * random());
    const file = (tensors, metadata) => {
      const header = metadata ? { __metadata__: metadata } : {};
      let end = 0;
      for (const [name, [shape, values]] of Object.entries(tensors)) {
        const start = end;
        end += values.byteLength;
        header[name] = { dtype: "F32", shape, data_offsets: [start, end] };
      }
      const json = new TextEncoder().encode(JSON.stringify(header));
      const bytes = new Uint8Array(8 + json.length + end);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
      bytes.set(json, 8);
      let at = 8 + json.length;
      for (const [, values] of Object.values(tensors)) {
        bytes.set(new Uint8Array(values.buffer), at);
        at += values.byteLength;
      }
      return bytes;
    };
    // Joint bits are made for vectors of about the length that their pairs reach together.
    const codebook = (scale) => [[2 * BITS, FEATURES], numbers(2 * BITS * FEATURES, scale)];
    const config = {
      features: FEATURES,
      num_bits: BITS,
      assignment: { method: "joint", beam: 8 },
      normalize: true,
      noise_scale: 0.05,
      commitment_weight: 0.3,
      codebook_weight: 1.0,
      entropy_weight: 0.0,
      diversity: 1.0,
    };
    const joint = {
      codebook: codebook(0.15),
      "normalization.center": [[FEATURES], new Float32Array(FEATURES)],
      "normalization.log_scale": [[1], new Float32Array(1)],
    };
    const files = {
      independent: file({ codebook: codebook(1) }),
      joint: file(joint, { format: "pt", bitcodes: JSON.stringify(config), "bitcodes.step": "0" }),
    };
    const x = numbers(VECTORS * FEATURES, 1);

    const quantizers = [];
    for (const flavor of ["cpu", "scalar"]) {
      const wasm = await import(`/pkg/${flavor}/bitcodes.js`);
      await wasm.default();
      await wasm.open();
      for (const [method, bytes] of Object.entries(files)) {
        quantizers.push({ flavor, method, quantizer: wasm.Quantizer.load(bytes) });
      }
    }
    const answers = [];
    for (const { quantizer } of quantizers) {
      answers.push([await quantizer.encode(x), await quantizer.logits(x)]);
    }
    // The two builds may round differently, so a bit may differ if its logit is near 0. A joint bit may
    // change the others of its vector, so a few vectors may differ in it.
    const differs = (bits, logits) => {
      let vectors = 0;
      for (let row = 0; row < VECTORS; row++) {
        let is = false;
        for (let p = 0; p < BITS; p++) {
          const apart = ((answers[bits][0][row] ^ answers[bits + 2][0][row]) >>> p) % 2 !== 0;
          is ||= apart && !(Math.abs(answers[logits][1][row * BITS + p]) < 1e-4);
        }
        vectors += is;
      }
      return vectors;
    };
    const same = differs(0, 0) === 0 && differs(1, 1) < 1e-3 * VECTORS;
    const times = {};
    for (let run = 0; run < 7; run++) {
      for (const { flavor, method, quantizer } of quantizers) {
        for (const what of ["encode", "logits"]) {
          const start = performance.now();
          await quantizer[what](x);
          ((times[what] ??= {})[`${method} ${flavor}`] ??= []).push(performance.now() - start);
        }
      }
    }
    return { same, times };
  },
  { VECTORS, FEATURES, BITS },
);
if (!same) throw new Error("the two builds give other bits");
console.log(`${VECTORS} x ${FEATURES} x ${BITS} on the CPU, in turn, medians of 7, in ms:`);
for (const [what, all] of Object.entries(times)) {
  const [independent, joint, scalar, jointScalar] = [
    "independent cpu", "joint cpu", "independent scalar", "joint scalar",
  ].map((name) => median(all[name]));
  console.log(
    `${what}: independent ${independent.toFixed(1)} with simd128, ${scalar.toFixed(1)} without; joint ${joint.toFixed(1)} and ${jointScalar.toFixed(1)}; joint takes ${(joint / independent).toFixed(1)} times as long with simd128`,
  );
}
await browser.close();
