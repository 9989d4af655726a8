// The photos that a task takes: chosen, dropped, pasted, taken, or an earlier picture. They stay
// when the task changes.

import { button, el, icon, say, shaped } from "./dom.js";
import { Drawing } from "./mask.js";
import { MaskEditor } from "./mask_editor.js";

const TYPES = "image/png,image/jpeg,image/webp";
const UNREADABLE = "This browser can't read that file as a picture. Choose a PNG, JPEG or WebP.";

const extension = (blob) => (blob.type.split("/")[1] || "png").replace("jpeg", "jpg");

async function read(blob, name) {
  const bitmap = await createImageBitmap(blob).catch(() => { throw new Error(UNREADABLE); });
  const { width, height } = bitmap;
  bitmap.close();
  return {
    blob, width, height, name: name || `photo.${extension(blob)}`,
    url: URL.createObjectURL(blob), drawing: null,
  };
}

/** Each photo of the task with the mask that belongs to it. */
function pairs(images) {
  const found = [];
  for (const spec of images) {
    if (spec.kind === "mask") found.at(-1).mask = spec;
    else found.push({ photo: spec, mask: null });
  }
  return found;
}

export class Photos {
  /** `does`: onchange, with an error if there is one; example, which answers what fetches one; hint. */
  constructor(place, does) {
    Object.assign(this, { place, ...does, task: null, chosen: new Map() });
  }

  show(task) {
    this.task = task;
    this.#render();
  }

  get wanted() { return pairs(this.task?.images || []); }

  /** Where a dropped or pasted photo goes: the first that is missing, or else the first. */
  get open() {
    const names = this.wanted.map(({ photo }) => photo.name);
    return names.find((name) => !this.chosen.has(name)) || names[0];
  }

  /** `mask`: an earlier one; `hole`: a box of one, in parts of the photo's sides. */
  async set(field, blob, name, mask = null, hole = null) {
    const photo = await read(blob, name);
    this.remove(field, false);
    if (mask) {
      photo.drawing = new Drawing(photo.width, photo.height);
      await photo.drawing.load(mask);
    }
    if (hole && this.wanted.some((pair) => pair.photo.name === field && pair.mask)) {
      photo.drawing = new Drawing(photo.width, photo.height);
      const { width, height } = photo.drawing;
      photo.drawing.add({
        kind: "box", x: hole.x * width, y: hole.y * height, width: hole.width * width, height: hole.height * height,
      });
    }
    this.chosen.set(field, photo);
    this.#render();
    say(`Photo ${photo.name}, ${photo.width} by ${photo.height} pixels.`);
  }

  remove(field, render = true) {
    const old = this.chosen.get(field);
    if (old) URL.revokeObjectURL(old.url);
    this.chosen.delete(field);
    if (render) this.#render();
  }

  /** What is missing, as a sentence; null when all is there. Photos are checked by the service. */
  missing() {
    for (const { photo, mask } of this.wanted) {
      const chosen = this.chosen.get(photo.name);
      if (mask && chosen && !chosen.drawing?.coverage()) {
        return "Paint over the part to fill first.";
      }
    }
    return null;
  }

  /** {name: {blob, name}} of all pictures to send, masks included. */
  async files() {
    const files = {};
    for (const { photo, mask } of this.wanted) {
      const chosen = this.chosen.get(photo.name);
      if (!chosen) continue;
      files[photo.name] = { blob: chosen.blob, name: chosen.name };
      if (mask) files[mask.name] = { blob: await chosen.drawing.toPng(), name: `${mask.name}.png` };
    }
    return files;
  }

  #render() {
    this.place.replaceChildren(...this.wanted.map((pair) => this.#field(pair)));
    this.onchange();
  }

  #field({ photo, mask }) {
    const chosen = this.chosen.get(photo.name);
    const content = chosen ? this.#chosen(photo, mask, chosen) : this.#empty(photo);
    return el("div", { class: "field photo", role: "group", "aria-label": photo.name, "data-field": photo.name },
      ...content);
  }

  #picker(photo, label, { camera = false, id = null } = {}) {
    const input = el("input", {
      id, type: "file", accept: TYPES, class: "hidden", "aria-label": `${label} (${photo.name})`,
      capture: camera ? "environment" : null,
      onchange: () => input.files[0] && this.#take(photo.name, input.files[0]),
    });
    return el("label", { class: camera ? "quiet pick camera" : "quiet pick" },
      input, icon(camera ? "camera" : "photo"), el("span", {}, label));
  }

  async #take(field, file) {
    try {
      await this.set(field, file, file.name);
    } catch (error) {
      this.onchange(error);
    }
  }

  /** Say what photos the bundle is for. */
  hinted() {
    for (const each of this.place.querySelectorAll(".photo-hint")) each.textContent = this.hint();
  }

  #empty(photo) {
    const example = this.example();
    return [el("div", { class: "dropzone" },
      icon("photo"),
      el("p", {}, "Drop a photo here, or paste one"),
      el("div", { class: "row" },
        this.#picker(photo, "Choose a photo", { id: `file-${photo.name}` }),
        this.#picker(photo, "Take a photo", { camera: true }),
        example && button("edit", "Use an example", () => example().catch((error) => this.onchange(error)))),
      el("p", { class: "soft small" }, photo.description))];
  }

  #chosen(photo, mask, chosen) {
    const image = el("img", { class: "photo-shown", src: chosen.url, alt: "The chosen photo", draggable: "false" });
    const foot = el("div", { class: "photo-foot" },
      el("p", { class: "soft small" }, el("span", { class: "file-name", title: chosen.name }, chosen.name),
        `${chosen.width} × ${chosen.height}`),
      this.#picker(photo, "Replace", { id: `file-${photo.name}` }),
      button("cross", `Remove ${photo.name}`, () => this.remove(photo.name), { bare: true }));
    const hint = el("p", { class: "photo-hint soft small" }, this.hint());
    if (!mask) return [shaped(image, chosen), foot, hint];
    chosen.drawing ||= new Drawing(chosen.width, chosen.height);
    return [new MaskEditor(chosen.drawing, image, mask.name, this.onchange).element, foot, hint];
  }
}
