// A pad to draw on with a pointer or with keys. It scales the drawing to the model's size.

/** Height and width of the model's images in pixels. */
const SIDE = 8;

/** The pad. It calls `changed` with the picture after each change. */
export class Pad {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} marker shows the place where the keys draw
   * @param {(pixels: Float32Array) => void} changed
   */
  constructor(canvas, marker, changed) {
    this.canvas = canvas;
    this.marker = marker;
    this.changed = changed;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.#moveTo({ x: canvas.width / 2, y: canvas.height / 2 });
    let last;
    canvas.addEventListener("pointerdown", (event) => {
      // Only one finger or the main button draws.
      if (!event.isPrimary || event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      last = this.#place(event);
      this.#stroke(last, last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last || !event.isPrimary) return;
      const to = this.#place(event);
      this.#stroke(last, to);
      last = to;
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, ({ isPrimary }) => isPrimary && (last = undefined));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Shows a picture of the model's size. The first stroke replaces it. @param {Float32Array} pixels */
  show(pixels) {
    this.#fill();
    const cell = this.canvas.width / SIDE;
    pixels.forEach((value, index) => {
      this.context.fillStyle = `rgb(${value * 255} ${value * 255} ${value * 255})`;
      this.context.fillRect((index % SIDE) * cell, Math.floor(index / SIDE) * cell, cell, cell);
    });
    this.drawn = false;
  }

  clear() {
    this.#fill();
    this.drawn = true;
    this.changed(new Float32Array(SIDE * SIDE));
  }

  #fill() {
    this.context.fillStyle = "black";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  #place(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - left) / width) * this.canvas.width,
      y: ((event.clientY - top) / height) * this.canvas.height,
    };
  }

  #stroke(from, to) {
    // The first stroke replaces a picture that was picked.
    if (!this.drawn) this.#fill();
    this.drawn = true;
    const { context } = this;
    context.strokeStyle = "white";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.canvas.width / 10;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y + 0.01);
    context.stroke();
    this.changed(this.#pixels());
  }

  #moveTo(place) {
    this.cursor = place;
    this.marker.style.left = `${(100 * place.x) / this.canvas.width}%`;
    this.marker.style.top = `${(100 * place.y) / this.canvas.height}%`;
  }

  #key(event) {
    const step = this.canvas.width / 16;
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) {
      const inside = (value) => Math.min(Math.max(value, 0), this.canvas.width);
      const to = { x: inside(this.cursor.x + move[0] * step), y: inside(this.cursor.y + move[1] * step) };
      if (event.shiftKey) this.#stroke(this.cursor, to);
      this.#moveTo(to);
    } else if (event.key === " ") {
      this.#stroke(this.cursor, this.cursor);
    } else {
      return;
    }
    event.preventDefault();
  }

  /**
   * Scales the drawing to the model's size as the digits of the training were scaled: the drawing
   * is moved and enlarged to fill the picture, and a pixel is the fraction of its square that is
   * painted.
   */
  #pixels() {
    const { width } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, width);
    let [left, right, top, bottom] = [width, -1, width, -1];
    for (let y = 0; y < width; y++) {
      for (let x = 0; x < width; x++) {
        if (data[4 * (y * width + x)] < 128) continue;
        [left, right] = [Math.min(left, x), Math.max(right, x)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      }
    }
    const pixels = new Float32Array(SIDE * SIDE);
    if (right < 0) return pixels;
    const size = Math.max(right - left, bottom - top) + 1;
    const cell = size / SIDE;
    const [originX, originY] = [(left + right + 1 - size) / 2, (top + bottom + 1 - size) / 2];
    const SAMPLES = 8;
    for (let index = 0; index < pixels.length; index++) {
      let sum = 0;
      for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
        const x = originX + ((index % SIDE) + ((sample % SAMPLES) + 0.5) / SAMPLES) * cell;
        const y = originY + (Math.floor(index / SIDE) + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES) * cell;
        if (x >= 0 && y >= 0 && x < width && y < width) sum += data[4 * (Math.floor(y) * width + Math.floor(x))];
      }
      pixels[index] = sum / (255 * SAMPLES * SAMPLES);
    }
    return pixels;
  }
}
