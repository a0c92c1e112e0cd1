// Tests of the package's other promises: errors, empty inputs, memory, workers, progress, devices.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { DEVICES, blank, launch, test } from "./support.mjs";

let browser;
before(async () => (browser = await launch({ args: ["--js-flags=--expose-gc"] })));
after(() => browser.close());

/** Runs `source`, the body of an async function, and returns the message of its `Error`. */
function messageOf(page, source) {
  return page.evaluate(async (source) => {
    const AsyncFunction = (async () => {}).constructor;
    try {
      await new AsyncFunction(source)();
    } catch (error) {
      return error instanceof Error ? error.message : `not an Error: ${error}`;
    }
    return "no error";
  }, source);
}

/** The bytes of a safetensors file of f32 tensors, each given as its shape and its numbers. */
function safetensors(tensors, metadata) {
  const header = { __metadata__: metadata };
  const numbers = [];
  for (const [name, [shape, values]] of Object.entries(tensors)) {
    const start = numbers.length * 4;
    numbers.push(...values);
    header[name] = { dtype: "F32", shape, data_offsets: [start, numbers.length * 4] };
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  return Uint8Array.of(...length, ...json, ...new Uint8Array(Float32Array.from(numbers).buffer));
}

for (const device of DEVICES) {
  test(`errors are Errors that say what is wrong, on ${device}`, async () => {
    const page = await blank(browser);
    const quantizer = `const q = await bitcodes.loadQuantizer("/golden/odd.safetensors", { device: "${device}" });`;
    const model = `const m = await bitcodes.loadAutoencoder("/model/", { device: "${device}" });`;
    const bytes = "const [config, model] = await Promise.all(['config.json', 'model.mpk'].map(async (name) => new Uint8Array(await (await fetch('/model/' + name)).arrayBuffer())));";
    const load = `await bitcodes.loadAutoencoder({ config, model }, { device: "${device}" });`;
    for (const [source, wanted] of [
      [`${quantizer} await q.encode(new Float32Array(8));`, /^8 numbers, expected a multiple of 7 = 7$/],
      [`${quantizer} await q.encode([1, 2, 3]);`, /^the numbers are \[object Array\], expected a Float32Array$/],
      [`${quantizer} await q.decode(new Uint8Array([0, 1, 2]));`, /^a bit is 2, expected 0 or 1$/],
      [`${quantizer} await q.decode(new Uint8Array(4));`, /^4 bits, expected a multiple of 3 = 3$/],
      [`${quantizer} await q.decode(new Uint32Array([8]));`, /^row 0: .*00001000/],
      [`${quantizer} await q.decode("0101");`, /^codes are \[object String\], expected/],
      [`${quantizer} q.free(); await q.encode(new Float32Array(7));`, /^the model was freed$/],
      [`${model} await m.encode(new Float32Array(65));`, /^65 pixels, expected a multiple of 64 = 8 x 8$/],
      [`${model} await m.decode(new Uint8Array(33));`, /^33 bits, expected a multiple of 32 = 4 x 8$/],
      [`${model} await m.decode(new Uint32Array(5));`, /^5 words, expected a multiple of 4 = 4 x 1$/],
      [`await bitcodes.loadQuantizer("/golden/odd.safetensors", { device: "gpu" });`, /^device is "gpu", expected "auto", "webgpu" or "cpu"$/],
      [`await bitcodes.loadAutoencoder(undefined);`, /^the autoencoder is \[object Undefined\], expected the URL/],
      [`await bitcodes.loadQuantizer("/no-such-file", { device: "${device}" });`, /no-such-file cannot be loaded: 404/],
      [`await bitcodes.loadQuantizer(7, { device: "${device}" });`, /^a file is \[object Number\], expected a URL/],
      [`await bitcodes.loadQuantizer(new Uint8Array(20), { device: "${device}" });`, /^neither PyTorch's zip archive nor safetensors nor a Burn record: 20 bytes/],
      [`await bitcodes.loadQuantizer("/golden/odd.safetensors", { device: "${device}", prefix: "a" });`, /^no tensor a\.codebook, found/],
      [`${bytes.replaceAll("config.json", "no.json")} ${load}`, /^config\.json: not the configuration of a run/],
      [`${bytes} model.fill(0); ${load}`, /^model\.mpk: not a record/],
      [`${bytes} const half = model.subarray(0, model.length / 2); await bitcodes.loadAutoencoder({ config, model: half }, { device: "${device}" });`, /^model\.mpk: not a record/],
      [`await bitcodes.loadQuantizer("/golden/odd.safetensors", { device: "${device}", signal: AbortSignal.abort() });`, /abort/],
    ]) {
      assert.match(await messageOf(page, source), wanted, source);
    }
    // The browser itself logs files that do not exist.
    assert.deepEqual(page.faults.filter((fault) => !fault.includes("404")), []);
  });

  test(`empty inputs give empty outputs, on ${device}`, async () => {
    const page = await blank(browser);
    const found = await page.evaluate(async (device) => {
      const none = new Float32Array(0);
      const quantizer = await bitcodes.loadQuantizer("/golden/words.safetensors", { device });
      const model = await bitcodes.loadAutoencoder("/model/", { device });
      const codes = [await quantizer.encode(none), await model.encode(none)];
      const numbers = [
        await quantizer.quantize(none), await quantizer.logits(none), await quantizer.decode(codes[0]),
        await quantizer.reconstruct(codes[0]), await model.roundTrip(none), await model.logits(none), await model.decode(codes[1].words),
      ];
      return [...codes.map((codes) => codes.length), ...numbers.map((numbers) => numbers.length)];
    }, device);
    assert.deepEqual(found, Array(9).fill(0));
    assert.deepEqual(page.faults, []);
  });

  test(`reconstruct gives the units of the vectors that were encoded, on ${device}`, async () => {
    // Two bits, one along each axis; vectors around (10, -20) with a standard deviation of 2.
    const [center, scale] = [[2.5, -5], 2];
    const tensors = {
      codebook: [[4, 2], [-0.5, 0, 0.5, 0, 0, -0.25, 0, 0.25]],
      "normalization.center": [[2], center],
      "normalization.log_scale": [[1], [Math.log(scale)]],
    };
    const config = {
      features: 2, num_bits: 2, assignment: { method: "joint", beam: 8 }, normalize: true, noise_scale: 0.05,
      commitment_weight: 0.3, codebook_weight: 1, entropy_weight: 0, diversity: 1,
    };
    const file = safetensors(tensors, { bitcodes: JSON.stringify(config), "bitcodes.step": "0" });
    const page = await blank(browser);
    const found = await page.evaluate(async ([file, device]) => {
      const quantizer = await bitcodes.loadQuantizer(new Uint8Array(file), { device });
      const codes = await quantizer.encode(Float32Array.of(12.5, -21, 7, -18));
      const { bits, words } = codes;
      const all = [quantizer.decode(codes), quantizer.reconstruct(codes), quantizer.reconstruct(words)];
      return [[...bits], ...(await Promise.all(all)).map((numbers) => [...numbers])];
    }, [[...file], device]);
    const [bits, decoded, reconstructed, fromWords] = found;
    assert.deepEqual(bits, [1, 0, 0, 1]);
    assert.deepEqual(decoded, [0.5, -0.25, -0.5, 0.25]);
    decoded.forEach((y, index) => {
      const wanted = ((y + center[index % 2]) * scale) / 0.5;
      assert.ok(Math.abs(reconstructed[index] - wanted) < 1e-4, `${reconstructed[index]}, wanted ${wanted}`);
    });
    assert.deepEqual(fromWords, reconstructed);
    assert.deepEqual(page.faults, []);
  });

  test(`a model that is freed while it computes still gives its result, on ${device}`, async () => {
    const page = await blank(browser);
    const found = await page.evaluate(async (device) => {
      const model = await bitcodes.loadAutoencoder("/model/", { device });
      const image = Float32Array.from({ length: 64 }, (_, index) => (index % 9) / 8);
      const first = await model.encode(image);
      const second = model.encode(image);
      model.free();
      model.free();
      return [[...first.bits], [...(await second).bits]];
    }, device);
    assert.deepEqual(found[0], found[1]);
    assert.deepEqual(page.faults, []);
  });

  test(`1,000 encodes do not use more memory, on ${device}`, async (t) => {
    // Counts the bytes of the GPU buffers that exist.
    const count = () => {
      globalThis.gpuBytes = 0;
      const { createBuffer } = globalThis.GPUDevice?.prototype ?? {};
      if (!createBuffer) return;
      const live = new WeakMap();
      GPUDevice.prototype.createBuffer = function (descriptor) {
        const buffer = createBuffer.call(this, descriptor);
        live.set(buffer, descriptor.size);
        gpuBytes += descriptor.size;
        return buffer;
      };
      const { destroy } = GPUBuffer.prototype;
      GPUBuffer.prototype.destroy = function () {
        gpuBytes -= live.get(this) ?? 0;
        live.delete(this);
        return destroy.call(this);
      };
    };
    const page = await blank(browser);
    await page.evaluate(count);
    const measure = (encodes) =>
      page.evaluate(
        async ({ device, encodes }) => {
          globalThis.model ??= await bitcodes.loadAutoencoder("/model/", { device });
          const image = new Float32Array(64);
          for (let index = 0; index < encodes; index++) {
            image[index % 64] = Math.random();
            await model.encode(image);
          }
          gc();
          return { wasm: model.memoryBytes, heap: performance.memory.usedJSHeapSize, gpu: gpuBytes };
        },
        { device, encodes },
      );
    const [early, late] = [await measure(200), await measure(1000)];
    t.diagnostic(`bytes after 200: ${JSON.stringify(early)}, after 1,000 more: ${JSON.stringify(late)}`);
    assert.ok(device !== "webgpu" || early.gpu > 0, "the GPU's buffers are counted");
    assert.equal(late.wasm, early.wasm);
    assert.ok(late.gpu <= early.gpu, `GPU buffers of ${late.gpu} bytes, before ${early.gpu}`);
    // The limit is 300 bytes per encode. Anything that an encode kept would be larger.
    assert.ok(late.heap - early.heap < 300_000, `heap of ${late.heap} bytes, before ${early.heap}`);
    assert.deepEqual(page.faults, []);
  });

  test(`it works in a worker, on ${device}`, async () => {
    const page = await blank(browser);
    await page.route("**/worker.js", (route) =>
      route.fulfill({
        contentType: "text/javascript",
        body: `
          import { loadAutoencoder } from "/pkg/index.js";
          onmessage = async ({ data: { device, image } }) => {
            const model = await loadAutoencoder("/model/", { device });
            postMessage({ kind: model.device.kind, bits: (await model.encode(image)).bits });
          };`,
      }),
    );
    const found = await page.evaluate(async (device) => {
      const image = Float32Array.from({ length: 64 }, (_, index) => (index % 7) / 6);
      const worker = new Worker("/worker.js", { type: "module" });
      const answer = new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
      });
      worker.postMessage({ device, image });
      const { kind, bits } = await answer;
      const model = await bitcodes.loadAutoencoder("/model/", { device });
      return { kind, same: String(bits) === String((await model.encode(image)).bits) };
    }, device);
    assert.deepEqual(found, { kind: device, same: true });
    assert.deepEqual(page.faults, []);
  });
}

test("an input too large for memory at once is computed in blocks", async () => {
  const page = await blank(browser);
  const found = await page.evaluate(async () => {
    const quantizer = await bitcodes.loadQuantizer("/golden/odd.safetensors", { device: "cpu" });
    const some = Float32Array.from({ length: 21 }, (_, index) => Math.sin(index));
    const many = new Float32Array(21 * 300_000);
    for (let start = 0; start < many.length; start += 21) many.set(some, start);
    const [few, all] = [await quantizer.encode(some), await quantizer.encode(many)];
    const [y, back] = [await quantizer.decode(few), await quantizer.decode(all)];
    const same = all.bits.every((bit, index) => bit === few.bits[index % 9]);
    return { length: all.length, same, back: back.length, sameBack: back.every((value, index) => value === y[index % 21]) };
  });
  assert.deepEqual(found, { length: 900_000, same: true, back: 6_300_000, sameBack: true });
  assert.deepEqual(page.faults, []);
});

test("a lost GPU rejects calls that wait and later calls", async () => {
  const own = await launch();
  try {
    const page = await blank(own);
    const whole = await page.evaluate(async () => {
      globalThis.model = await bitcodes.loadAutoencoder("/model/", { device: "webgpu" });
      return (await model.encode(new Float32Array(64))).bits.length;
    });
    assert.equal(whole, 32);
    const cdp = await own.newBrowserCDPSession();
    await cdp.send("Browser.crashGpuProcess").catch(() => {});
    await page.waitForTimeout(1000);
    for (let question = 0; question < 2; question++) {
      assert.match(await messageOf(page, "await model.encode(new Float32Array(64));"), /^bitcodes failed: .*load the page again/s);
    }
    assert.equal(await messageOf(page, "model.free();"), "no error");
    const device = await page.evaluate(async () => (await bitcodes.loadAutoencoder("/model/")).device);
    assert.equal(device.kind, "cpu");
    assert.match(device.note, /^bitcodes failed: /);
  } finally {
    await own.close();
  }
});

test("progress is reported and ends with the whole file", async () => {
  const page = await blank(browser);
  const told = await page.evaluate(async () => {
    const told = [];
    await bitcodes.loadAutoencoder("/model/", { device: "cpu", onProgress: (progress) => told.push(progress) });
    return told.filter(({ url }) => url.endsWith("model.mpk"));
  });
  assert.equal(told[0].loadedBytes, 0);
  assert.ok(told.length > 1 && told.every(({ totalBytes }) => totalBytes === told.at(-1).loadedBytes));
});

test("distances are counted in bits", async () => {
  const page = await blank(browser);
  const found = await page.evaluate(() => {
    const words = new Uint32Array([0, 0, 0xffffffff, 0xffffffff, 0x80000001, 0, 5, 7]);
    return [...bitcodes.hammingDistances(words, new Uint32Array([0, 1]))];
  });
  assert.deepEqual(found, [1, 63, 3, 4]);
});

test("without WebGPU, `webgpu` is an error and `auto` is the CPU with a reason", async () => {
  const plain = await launch({ webgpu: false });
  try {
    const page = await blank(plain);
    const error = await messageOf(page, `await bitcodes.loadAutoencoder("/model/", { device: "webgpu" });`);
    assert.match(error, /WebGPU/);
    const device = await page.evaluate(async () => (await bitcodes.loadAutoencoder("/model/")).device);
    assert.equal(device.kind, "cpu");
    assert.equal(device.note, error);
  } finally {
    await plain.close();
  }
});

test("an adapter without timestamp queries, which Burn cannot use, is not used", async () => {
  const page = await blank(browser);
  const device = await page.evaluate(async () => {
    const { get } = Object.getOwnPropertyDescriptor(GPUAdapter.prototype, "features");
    Object.defineProperty(GPUAdapter.prototype, "features", {
      get() {
        return new Set([...get.call(this)].filter((feature) => feature !== "timestamp-query"));
      },
    });
    return (await bitcodes.loadAutoencoder("/model/")).device;
  });
  assert.equal(device.kind, "cpu");
  assert.match(device.note, /timestamp/);
  assert.deepEqual(page.faults, []);
});
