// A browser, pages in it, and files that are compared with.

import { readFile } from "node:fs/promises";
import { test as nodeTest } from "node:test";
import { chromium } from "playwright-core";

/** Where `cargo xtask web` serves target/web. */
export const SITE = env("SITE");
/** Of the repository. */
export const ROOT = new URL("../../../../", import.meta.url);
/** Pictures of the demo, for people to look at. */
export const SCREENSHOTS = new URL("target/web-screenshots/", ROOT).pathname;
export const DEVICES = ["cpu", "webgpu"];

/**
 * A test that fails by name where it hangs. The runner's own limit is one for all tests of a file
 * together, and WebGPU in software takes minutes on a slow machine.
 */
export function test(name, body) {
  return nodeTest(name, { timeout: 15 * 60_000 }, body);
}

function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these are run by cargo xtask web --test or --bench`);
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

/** Opens a page; what its console says is wrong, and what nobody caught, is in `page.faults`. */
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

/** An empty page of the site that has the package as `bitcodes`. */
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

/** The golden files under /golden/ of the site. */
function serveGolden(page) {
  return page.route("**/golden/*", (route) => {
    const name = new URL(route.request().url()).pathname.split("/").at(-1);
    return route.fulfill({ path: new URL(`tests/golden/${name}`, ROOT).pathname });
  });
}

/** The tensors of a safetensors file, as far as they are compared. */
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

/** A .npy file of bytes. */
export async function npy(path) {
  const bytes = await readFile(path);
  const length = bytes.readUInt16LE(8);
  const header = bytes.subarray(10, 10 + length).toString();
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").map((dim) => dim.trim()).filter(Boolean).map(Number);
  if (!/'descr': '\|u1'/.test(header)) throw new Error(`${path}: ${header}, expected bytes`);
  return { shape, values: [...bytes.subarray(10 + length)] };
}
