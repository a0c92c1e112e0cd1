// Tests that use the demo as a person does.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { mkdir } from "node:fs/promises";
import { SCREENSHOTS, launch, open, test } from "./support.mjs";

let browser;
before(async () => {
  browser = await launch();
  await mkdir(SCREENSHOTS, { recursive: true });
});
after(() => browser.close());

/** Waits until the page is ready. Fails with the page's error if it shows one. */
async function ready(page) {
  await page.waitForFunction(() => document.documentElement.dataset.state);
  const alert = await page.locator("#alert").textContent();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.state), "ready", alert);
}

const bitsOf = (page) => page.evaluate(() => document.documentElement.dataset.bits);
/** Returns the gray levels of a canvas. A copy is read, because reading changes how a canvas is stored. */
const pictureOf = (page, id) =>
  page.locator(id).evaluate((canvas) => {
    const copy = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    return [...context.getImageData(0, 0, 8, 8).data].filter((_, index) => index % 4 === 0);
  });

/** Waits until all actions are done, and returns the bits that are shown. */
async function settled(page) {
  await page.waitForFunction(() => document.querySelector("main").ariaBusy === "false");
  return bitsOf(page);
}

/** Waits like `settled`, and fails if the bits are still `bits`. */
async function changed(page, bits) {
  const found = await settled(page);
  assert.notEqual(found, bits);
  return found;
}

/** Draws a one with the mouse. */
async function draw(page) {
  const { x, y, width, height } = await page.locator("#pad").boundingBox();
  const at = ([right, down]) => [x + right * width, y + down * height];
  await page.mouse.move(...at([0.4, 0.3]));
  await page.mouse.down();
  for (const place of [[0.52, 0.2], [0.52, 0.4], [0.52, 0.6], [0.52, 0.8]]) await page.mouse.move(...at(place), { steps: 5 });
  await page.mouse.up();
}

test("draw, flip a bit, switch the device", async () => {
  const page = await open(browser, "?device=webgpu", { viewport: { width: 1180, height: 900 }, colorScheme: "light" });
  await ready(page);
  assert.match(await page.locator("#device").textContent(), /^WebGPU: ./);
  assert.equal(await page.locator("#note").isVisible(), false);
  assert.equal(await page.locator(".bits button").count(), 32);
  assert.equal(await page.locator("#nearest button").count(), 6);
  // The page starts with the first test digit, which is the nearest to itself.
  assert.match(await page.locator("#nearest button").first().textContent(), /· 0$/);

  const picked = await bitsOf(page);
  await draw(page);
  const drawn = await changed(page, picked);
  assert.match(drawn, /^[01]{32}$/);
  const seen = await pictureOf(page, "#seen");
  assert.ok(seen.some((value) => value > 200) && seen.some((value) => value === 0), "a line is drawn");

  const before = await pictureOf(page, "#back");
  const toggle = page.locator(".bits button").nth(9);
  const was = await toggle.getAttribute("aria-pressed");
  assert.equal(await toggle.getAttribute("aria-label"), "Bit 2 of 8, top right");
  await toggle.click();
  const flipped = await changed(page, drawn);
  assert.notEqual(await toggle.getAttribute("aria-pressed"), was);
  assert.deepEqual([...flipped].flatMap((bit, index) => (bit === drawn[index] ? [] : [index])), [9]);
  assert.notDeepEqual(await pictureOf(page, "#back"), before);

  await draw(page);
  const gpu = await settled(page);
  await page.screenshot({ path: `${SCREENSHOTS}desktop-light.png`, fullPage: true });
  await page.getByLabel("CPU", { exact: true }).check();
  await page.waitForFunction(() => document.getElementById("agreement").textContent.includes("bits"));
  assert.equal(await page.locator("#agreement").textContent(), "all 32 bits are the same");
  assert.match(await page.locator("#device").textContent(), /^CPU: /);
  assert.equal(await bitsOf(page), gpu);
  assert.match(await page.locator("#time").textContent(), /^[\d.]+ ms to bits, [\d.]+ ms back$/);

  await page.getByRole("button", { name: "Clear" }).click();
  await changed(page, gpu);
  assert.ok((await pictureOf(page, "#seen")).every((value) => value === 0));
  assert.deepEqual(page.faults, []);
});

test("by keys alone, on a phone, in the dark", async () => {
  const page = await open(browser, "?device=cpu", {
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    colorScheme: "dark",
  });
  await ready(page);
  const picked = await bitsOf(page);
  const focus = async (selector) => {
    for (let presses = 0; presses < 100; presses++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    }
    assert.fail(`${selector} cannot be reached by the Tab key`);
  };
  await focus("#pad");
  assert.ok(await page.locator("#cursor").isVisible());
  await page.keyboard.press("Space");
  for (let step = 0; step < 5; step++) await page.keyboard.press("Shift+ArrowDown");
  const drawn = await changed(page, picked);
  await focus("#samples button");
  await page.keyboard.press("Enter");
  const taken = await changed(page, drawn);
  await focus(".bits button");
  await page.keyboard.press("Space");
  await changed(page, taken);
  await focus("#nearest button");
  const chosen = await bitsOf(page);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await changed(page, chosen);
  assert.ok(await page.evaluate(() => document.activeElement.matches("#nearest button:nth-child(2)")), "focus stays");
  await focus("#devices input");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the page is ${wide} pixels wider than the screen`);
  for (const named of await page.locator("button, canvas[tabindex], input").all()) {
    const name = await named.evaluate((element) => element.getAttribute("aria-label") ?? element.textContent.trim() + (element.labels?.[0]?.textContent ?? ""));
    assert.ok(name, "every control has an accessible name");
  }
  await page.screenshot({ path: `${SCREENSHOTS}phone-dark.png`, fullPage: true });
  assert.deepEqual(page.faults, []);
});

test("without WebGPU it computes on the CPU and says so", async () => {
  const plain = await launch({ webgpu: false });
  try {
    const page = await open(plain, "", { viewport: { width: 1180, height: 900 } });
    await ready(page);
    assert.match(await page.locator("#note").textContent(), /^On the CPU: .*WebGPU.*\.$/);
    assert.ok(await page.locator("#note").isVisible());
    assert.ok(await page.getByLabel("WebGPU").isDisabled());
    assert.ok(await page.getByLabel("CPU", { exact: true }).isChecked());
    await page.screenshot({ path: `${SCREENSHOTS}without-webgpu.png`, fullPage: true });
    // Chromium itself logs this message if there is no adapter.
    assert.deepEqual(page.faults.filter((fault) => fault !== "No available adapters."), []);
  } finally {
    await plain.close();
  }
});

test("a device that fails leaves the other to choose", async () => {
  const plain = await launch({ webgpu: false });
  try {
    const page = await open(plain, "?device=webgpu");
    await page.waitForFunction(() => document.documentElement.dataset.state === "failed");
    assert.match(await page.locator("#alert").textContent(), /WebGPU/);
    await page.getByLabel("CPU", { exact: true }).check();
    await page.waitForFunction(() => document.documentElement.dataset.state === "ready");
    assert.equal(await page.locator("#alert").isVisible(), false);
    assert.match(await bitsOf(page), /^[01]{32}$/);
    await page.getByLabel("WebGPU").click();
    await page.waitForFunction(() => document.documentElement.dataset.state === "failed");
    assert.ok(await page.getByLabel("CPU", { exact: true }).isChecked());
    await page.locator(".bits button").first().click();
    await page.waitForFunction(() => document.documentElement.dataset.state === "ready");
    assert.equal(await page.locator("#alert").isVisible(), false);
  } finally {
    await plain.close();
  }
});

for (const [what, address, wanted, prepare] of [
  [
    "a corrupt model",
    "?device=cpu&model=broken",
    /^model\.mpk: not a record: /,
    (page) =>
      page.route("**/broken/*", async (route) => {
        const response = await route.fetch({ url: route.request().url().replace("/broken/", "/model/") });
        const body = await response.body();
        const damaged = route.request().url().endsWith(".mpk") ? body.subarray(0, 1000) : body;
        await route.fulfill({ status: 200, body: damaged });
      }),
  ],
  // Both files are requested at the same time, and the page shows the error of the first answer.
  ["a model that is not there", "?device=cpu&model=nowhere", /nowhere\/(config\.json|model\.mpk) cannot be loaded: 404/],
  ["a device that there is not", "?device=abacus", /^device is "abacus", expected/],
]) {
  test(`${what} is an error on the page`, async () => {
    const page = await open(browser, address, { prepare });
    await page.waitForFunction(() => document.documentElement.dataset.state);
    assert.ok(await page.locator("#alert").isVisible());
    assert.match(await page.locator("#alert").textContent(), wanted);
    assert.equal(await page.locator("#loading").isVisible(), false);
    assert.deepEqual(page.faults.filter((fault) => !fault.includes("404")), []);
  });
}
