// The demo: draw or pick a digit, see its bits, flip them.
//
// Two parameters of the address change the page: ?device=webgpu or ?device=cpu chooses the device,
// and ?model=FOLDER loads another run of `bitcodes train` on 8x8 digits.

import { hammingDistances, loadAutoencoder } from "./pkg/index.js";
import { loadDigits } from "./digits.js";
import { Pad } from "./pad.js";

/** @param {string} id @returns {any} */
const element = (id) => document.getElementById(id);
const address = new URLSearchParams(location.search);
const SAMPLES = 12;
const NEAREST = 6;

/** The model on each device. Models are kept, so that switching back is fast. */
const models = new Map();
let model;
let loadingDigits;
let digits;
/** The packed codes of the test digits. They are the same on both devices except for rounding. */
let digitWords;
/** The picture that is encoded. */
let pixels;
/** The bits of the picture. */
let encoded;
/** The bits that are shown, some of which may be flipped. */
let bits;
let buttons = [];

function fail(error) {
  element("alert").textContent = error instanceof Error ? error.message : String(error);
  element("alert").hidden = false;
  element("loading").hidden = true;
  document.documentElement.dataset.state = "failed";
}

/** Promise of the last action that was asked for. Actions run one after another. */
let work = Promise.resolve();
/** Number of actions that are not finished. */
let waiting = 0;

function wait(more) {
  waiting += more;
  document.querySelector("main").setAttribute("aria-busy", String(waiting > 0));
}

/** Makes an event handler that runs `action` after all earlier actions and shows its error if it fails. */
function handle(action) {
  return (...args) => {
    wait(1);
    return (work = work.then(async () => {
      try {
        await action(...args);
        element("alert").hidden = true;
        document.documentElement.dataset.state = "ready";
      } catch (error) {
        fail(error);
      } finally {
        wait(-1);
      }
    }));
  };
}

async function load(device) {
  const loaded = new Map();
  const onProgress = ({ url, loadedBytes, totalBytes }) => {
    loaded.set(url, [loadedBytes, totalBytes ?? 0]);
    const [done, total] = [...loaded.values()].reduce((sum, file) => [sum[0] + file[0], sum[1] + file[1]]);
    if (total > 0) Object.assign(element("progress"), { value: done, max: total });
  };
  say("Loading the model");
  try {
    const folder = new URL(address.get("model") ?? "model/", location.href);
    return await loadAutoencoder(folder, { device, onProgress });
  } finally {
    element("loading").hidden = true;
  }
}

/** Shows a message while something takes time, with a progress bar that has no value yet. */
function say(what) {
  element("loading").querySelector("span").textContent = what;
  element("progress").removeAttribute("value");
  element("loading").hidden = false;
}

/** Makes a device the current one and loads the model on it if that is not done yet. */
async function use(device) {
  const loaded = models.get(device) ?? (await load(device));
  models.set(device, loaded).set(loaded.device.kind, loaded);
  if (loaded.height !== 8 || loaded.width !== 8) {
    throw new Error(`the model is for images of ${loaded.height} x ${loaded.width} pixels, expected 8 x 8`);
  }
  model = loaded;
  const { kind, adapter, note } = model.device;
  element("device").textContent = `${kind === "webgpu" ? "WebGPU" : "CPU"}: ${adapter}`;
  if (note) {
    element("note").textContent = `On the CPU: ${note}.`;
    element("note").hidden = false;
    document.querySelector("input[value=webgpu]").disabled = true;
  }
  document.querySelector(`input[value=${kind}]`).checked = true;
}

/** Encodes `pixels`, and shows the bits and the picture decoded from them. */
async function encode() {
  const start = performance.now();
  ({ bits: encoded } = await model.encode(pixels));
  const took = performance.now() - start;
  bits = encoded;
  show("seen", pixels);
  showBits();
  await decode(`${took.toFixed(1)} ms to bits, `);
}

/** Decodes `bits`, and shows the picture and the nearest digits. */
async function decode(timeBefore = "") {
  const start = performance.now();
  show("back", await model.decode(bits));
  element("time").textContent = `${timeBefore}${(performance.now() - start).toFixed(1)} ms back`;
  showNearest();
  document.documentElement.dataset.bits = [...bits].join("");
}

/** Paints a picture of 8 x 8 pixels on a canvas of that size. */
function show(id, values) {
  const canvas = typeof id === "string" ? element(id) : id;
  const image = new ImageData(8, 8);
  values.forEach((value, index) => image.data.set([value * 255, value * 255, value * 255, 255], 4 * index));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function thumbnail(index, label, below) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.title = label;
  const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  show(canvas, digit(index));
  button.append(canvas);
  if (below !== undefined) button.append(Object.assign(document.createElement("span"), { textContent: below }));
  button.addEventListener("click", () => pick(index));
  return button;
}

function digit(index) {
  return digits.pixels.subarray(index * digits.size, (index + 1) * digits.size);
}

/** Takes a test digit. The pad shows it at once, before the digit is encoded. */
function pick(index) {
  pad.show(digit(index));
  take(digit(index).slice());
}

/** Clears the comparison of devices, which was about an earlier picture. */
function forget() {
  element("agreement").textContent = "switch to compare";
}

function showSamples() {
  const chosen = new Set();
  while (chosen.size < SAMPLES) chosen.add(Math.floor(Math.random() * digits.count));
  element("samples").replaceChildren(
    ...[...chosen].map((index) => thumbnail(index, `Take a ${digits.labels[index]} of the test set`)),
  );
}

function makeToggles() {
  const names = ["top left", "top right", "bottom left", "bottom right"];
  buttons = [];
  const tokens = names.map((name, token) => {
    const group = document.createElement("fieldset");
    group.className = "token";
    const legend = Object.assign(document.createElement("legend"), { textContent: name });
    const row = Object.assign(document.createElement("div"), { className: "bits" });
    for (let bit = 0; bit < model.numBits; bit++) {
      const index = token * model.numBits + bit;
      const button = document.createElement("button");
      button.type = "button";
      button.addEventListener("click", handle(() => flip(index)));
      button.dataset.label = `Bit ${bit + 1} of ${model.numBits}, ${name}`;
      row.append(button);
      buttons.push(button);
    }
    group.append(legend, row);
    return group;
  });
  element("tokens").replaceChildren(...tokens);
}

async function flip(index) {
  bits = bits.slice();
  bits[index] ^= 1;
  showBits();
  await decode();
}

function showBits() {
  buttons.forEach((button, index) => {
    button.textContent = bits[index];
    button.setAttribute("aria-pressed", String(bits[index] === 1));
    button.setAttribute("aria-label", button.dataset.label);
  });
  element("hex").textContent = [...tokenWords(bits)]
    .map((word) => word.toString(16).padStart(Math.ceil(model.numBits / 4), "0"))
    .join(" ");
}

/** Packs the bits of each token into words; the first bit is the least significant. */
function tokenWords(bits) {
  const words = new Uint32Array(Math.ceil(model.numBits / 32) * model.tokens);
  const each = words.length / model.tokens;
  bits.forEach((bit, index) => {
    const [token, place] = [Math.floor(index / model.numBits), index % model.numBits];
    words[token * each + Math.floor(place / 32)] |= bit << place % 32;
  });
  return words;
}

function showNearest() {
  const row = tokenWords(bits);
  const order = [...hammingDistances(digitWords, row)].map((distance, index) => ({ distance, index }));
  order.sort((a, b) => a.distance - b.distance || a.index - b.index);
  const focused = [...element("nearest").children].indexOf(document.activeElement);
  element("nearest").replaceChildren(
    ...order.slice(0, NEAREST).map(({ distance, index }) => {
      const label = `A ${digits.labels[index]} of the test set, ${distance} bits away: take it`;
      return thumbnail(index, label, `${digits.labels[index]} · ${distance}`);
    }),
  );
  // Keep the keyboard focus, as the buttons were replaced.
  if (focused >= 0) element("nearest").children[focused].focus();
}

/** Switches to another device and encodes the picture again. Flipped bits stay flipped. */
async function switchTo(device) {
  try {
    await use(device);
  } catch (error) {
    const kind = model?.device.kind;
    document.querySelectorAll("input[name=device]").forEach((input) => (input.checked = input.value === kind));
    throw error;
  }
  // If the first device failed, the page has not been started yet.
  if (!encoded) return start();
  const old = encoded;
  const begin = performance.now();
  ({ bits: encoded } = await model.encode(pixels));
  const took = performance.now() - begin;
  const differing = old.reduce((sum, bit, index) => sum + (bit ^ encoded[index]), 0);
  bits = bits.map((bit, index) => bit ^ old[index] ^ encoded[index]);
  showBits();
  await decode(`${took.toFixed(1)} ms to bits, `);
  element("agreement").textContent =
    differing === 0 ? `all ${old.length} bits are the same` : `${differing} of ${old.length} bits differ`;
}

/** The latest picture that waits to be encoded. */
let taken;
const encodeTaken = handle(async () => {
  if (!taken) return;
  [pixels, taken] = [taken, undefined];
  if (!model) return;
  forget();
  await encode();
});

/** Encodes a picture when earlier actions are done, unless a later picture has replaced it by then. */
function take(picture) {
  const waits = taken !== undefined;
  taken = picture;
  if (!waits) encodeTaken();
}

const pad = new Pad(element("pad"), element("cursor"), take);

element("clear").addEventListener("click", () => pad.clear());
element("others").addEventListener("click", handle(showSamples));
element("devices").addEventListener("change", handle((event) => switchTo(event.target.value)));

/** Loads the test digits. It is called while the first model is loading. */
function testDigits() {
  loadingDigits ??= loadDigits("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz");
  // A failure is not kept, so that the next call tries again.
  loadingDigits.catch(() => (loadingDigits = undefined));
  return loadingDigits;
}

/** Makes the page usable. The model has to be loaded before. */
async function start() {
  digits = await testDigits();
  makeToggles();
  showSamples();
  // On WebGPU the first computation compiles the kernels, which takes time.
  say("Making the device ready");
  ({ words: digitWords } = await model.encode(digits.pixels));
  pixels = digit(0).slice();
  pad.show(pixels);
  await encode();
  element("loading").hidden = true;
  document.querySelector("main").inert = false;
  performance.mark("ready");
}

await handle(async () => {
  const using = use(address.get("device") ?? "auto");
  await Promise.allSettled([testDigits(), using]);
  await using;
  await start();
})();
