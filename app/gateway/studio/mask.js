// What was painted on a photo: a list of steps, so that each can be undone, and their picture.

import { maskPng } from "./png.js";

const LARGEST = 1536; // pixels of the longer side that are painted on; stretched when it is sent
const COLOUR = "#ff2d6f";

const draw = {
  stroke(context, { erase, size, points }) {
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    const [first, ...rest] = points;
    // A line without a length is not drawn, so a stroke starts with a dot.
    context.beginPath();
    context.arc(first.x, first.y, size / 2, 0, 2 * Math.PI);
    context.fill();
    context.lineWidth = size;
    context.beginPath();
    context.moveTo(first.x, first.y);
    for (const { x, y } of rest) context.lineTo(x, y);
    context.stroke();
  },
  box(context, { x, y, width, height }) {
    context.globalCompositeOperation = "source-over";
    context.fillRect(x, y, width, height);
  },
  invert(context) {
    context.globalCompositeOperation = "xor";
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  },
  clear(context) {
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  },
  load(context, { image }) {
    draw.clear(context);
    context.globalCompositeOperation = "source-over";
    context.drawImage(image, 0, 0, context.canvas.width, context.canvas.height);
  },
};

export class Drawing {
  /** width, height: the photo's, in pixels. */
  constructor(width, height) {
    const scale = Math.min(1, LARGEST / Math.max(width, height));
    this.photo = { width, height };
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    Object.assign(this.context, {
      strokeStyle: COLOUR, fillStyle: COLOUR, lineCap: "round", lineJoin: "round",
    });
    this.steps = [];
    this.undone = [];
  }

  get width() { return this.canvas.width; }

  get height() { return this.canvas.height; }

  add(step) {
    this.steps.push(step);
    this.undone = [];
    draw[step.kind](this.context, step);
    return step;
  }

  /** A line from where `stroke` ends; only the new piece is drawn. */
  extend(stroke, point) {
    const last = stroke.points.at(-1);
    stroke.points.push(point);
    draw.stroke(this.context, { ...stroke, points: [last, point] });
  }

  undo() { this.#move(this.steps, this.undone); }

  redo() { this.#move(this.undone, this.steps); }

  #move(from, to) {
    if (!from.length) return;
    to.push(from.pop());
    draw.clear(this.context);
    for (const step of this.steps) draw[step.kind](this.context, step);
  }

  /** Start from an earlier mask: a picture whose white is the hole. */
  async load(blob) {
    const bitmap = await createImageBitmap(blob);
    const image = new OffscreenCanvas(this.width, this.height);
    const context = image.getContext("2d");
    context.drawImage(bitmap, 0, 0, this.width, this.height);
    const pixels = context.getImageData(0, 0, this.width, this.height);
    const [red, green, blue] = COLOUR.match(/\w\w/g).map((hex) => parseInt(hex, 16));
    for (let k = 0; k < pixels.data.length; k += 4) {
      pixels.data.set([red, green, blue, pixels.data[k]], k);
    }
    context.putImageData(pixels, 0, 0);
    this.add({ kind: "load", image });
  }

  #pixels() {
    return this.context.getImageData(0, 0, this.width, this.height);
  }

  /** How much of the photo is painted, from 0 to 1. */
  coverage() {
    const { data } = this.#pixels();
    let painted = 0;
    for (let k = 3; k < data.length; k += 4) painted += data[k] > 127;
    return painted / (this.width * this.height);
  }

  /** As the service wants it: the photo's size, white where it is to be filled. */
  toPng() {
    return maskPng(this.#pixels(), this.photo.width, this.photo.height);
  }
}
