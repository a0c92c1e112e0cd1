// Support for the tests: a browser, pages in it, and the files to compare with.

import { readFile } from "node:fs/promises";
import { test as nodeTest } from "node:test";
import { chromium } from "playwright-core";

/** The address where `cargo xtask web` serves target/web. */
export const SITE = env("SITE");
/** The root folder of the repository. */
export const ROOT = new URL("../../../../", import.meta.url);
/** The folder for screenshots of the demo, for people to look at. */
export const SCREENSHOTS = new URL("target/web-screenshots/", ROOT).pathname;
export const DEVICES = ["cpu", "webgpu"];

/**
 * Runs a test with a time limit of its own, so that a test that hangs is named. The runner's limit
 * would be for all tests of a file together. WebGPU in software takes minutes on a slow machine.
 */
export function test(name, body) {
  return nodeTest(name, { timeout: 15 * 60_000 }, body);
}

function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the tests with cargo xtask web --test or --bench`);
  return value;
}

const QUIET = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
// WebGPU in software, as on a machine without a GPU.
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

/** Starts Chromium. */
export function launch({ webgpu = true, args = [] } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [...QUIET, ...(webgpu ? WEBGPU : []), ...args],
  });
}

/** Opens a page. `page.faults` collects its console's errors and warnings and its uncaught exceptions. */
export async function open(browser, address, { prepare = () => {}, ...options } = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.faults = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.faults.push(message.text());
  });
  page.on("pageerror", (error) => page.faults.push(String(error)));
  await prepare(page);
  await page.goto(new URL(address, SITE).href);
  return page;
}

/** Opens an empty page of the site, with the package as the global `bitcodes`. */
export async function blank(browser) {
  const prepare = async (page) => {
    const body = "<!doctype html><link rel=icon href='data:,'>";
    await page.route("**/blank", (route) => route.fulfill({ contentType: "text/html", body }));
    await serveGolden(page);
  };
  const page = await open(browser, "blank", { prepare });
  await page.evaluate(async () => {
    globalThis.bitcodes = await import("/pkg/index.js");
  });
  return page;
}

/** Serves the golden files under /golden/ of the site. */
function serveGolden(page) {
  return page.route("**/golden/*", (route) => {
    const name = new URL(route.request().url()).pathname.split("/").at(-1);
    return route.fulfill({ path: new URL(`tests/golden/${name}`, ROOT).pathname });
  });
}

/** Reads a safetensors file. Its `tensor(name)` gives the shape and the values of a tensor. */
export async function safetensors(path) {
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const tensor = (name) => {
    const { dtype, shape, data_offsets } = header[name];
    const data = bytes.subarray(8 + length + data_offsets[0], 8 + length + data_offsets[1]);
    const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
    const values = { F32: Float32Array, I64: BigInt64Array }[dtype];
    return { shape, values: Array.from(new values(buffer), Number) };
  };
  return { tensor };
}

/** Reads a .npy file of bytes. */
export async function npy(path) {
  const bytes = await readFile(path);
  const length = bytes.readUInt16LE(8);
  const header = bytes.subarray(10, 10 + length).toString();
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").map((dim) => dim.trim()).filter(Boolean).map(Number);
  if (!/'descr': '\|u1'/.test(header)) throw new Error(`${path}: ${header}, expected bytes`);
  return { shape, values: [...bytes.subarray(10 + length)] };
}
