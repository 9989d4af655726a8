// One image over the whole window: zoom, and the next one by key.

import { byId, closable, el } from "./dom.js";

const STEP = 1.5;
const PIXELS = 6; // screen pixels per image pixel from which on single pixels are shown sharp
const LARGEST = 40;

export class Lightbox {
  constructor() {
    this.dialog = closable(byId("lightbox"));
    this.view = byId("lightbox-view");
    const acts = { previous: () => this.#go(-1), next: () => this.#go(1), larger: () => this.#zoom(STEP), smaller: () => this.#zoom(1 / STEP), fit: () => this.#fit() };
    for (const [name, act] of Object.entries(acts)) byId(`lightbox-${name}`).addEventListener("click", act);
    const keys = { ArrowLeft: "previous", ArrowRight: "next", "+": "larger", "=": "larger", "-": "smaller", 0: "fit" };
    this.dialog.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      acts[keys[event.key]]();
    });
    this.view.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.#zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
    this.view.addEventListener("pointermove", ({ buttons, pointerType, movementX, movementY }) => {
      if (buttons === 1 && pointerType === "mouse") this.view.scrollBy(-movementX, -movementY);
    });
    window.addEventListener("resize", () => this.dialog.open && this.#fit());
  }

  /** `images`: as the service lists them; `caption`: what they were generated from. */
  open(images, index, caption) {
    Object.assign(this, { images, caption, place: Math.max(0, images.findIndex((image) => image.index === index)) });
    for (const name of ["previous", "next"]) byId(`lightbox-${name}`).hidden = images.length < 2;
    this.dialog.showModal();
    this.#show();
  }

  #go(by) {
    this.place = (this.place + by + this.images.length) % this.images.length;
    this.#show();
  }

  #show() {
    const image = this.images[this.place];
    this.image = el("img", { src: image.url, alt: this.caption, draggable: "false" });
    this.view.replaceChildren(this.image);
    this.#fit();
  }

  /** As large as the window; small images are enlarged. */
  #fit() {
    const { width, height } = this.images[this.place];
    this.fitting = Math.min(this.view.clientWidth / width, this.view.clientHeight / height);
    this.scale = this.fitting;
    this.#apply();
  }

  #zoom(by) {
    this.scale = Math.min(Math.max(this.scale * by, Math.min(1, this.fitting)), LARGEST);
    this.#apply();
  }

  #apply() {
    const { view, image, scale } = this;
    const { width, seed } = this.images[this.place];
    const across = (view.scrollLeft + view.clientWidth / 2) / view.scrollWidth;
    const down = (view.scrollTop + view.clientHeight / 2) / view.scrollHeight;
    image.style.width = `${width * scale}px`;
    image.classList.toggle("pixels", scale > this.fitting && scale >= PIXELS);
    view.scrollTo(across * view.scrollWidth - view.clientWidth / 2, down * view.scrollHeight - view.clientHeight / 2);
    byId("lightbox-text").textContent = `Image ${this.place + 1} of ${this.images.length} · seed ${seed} · ${Math.round(scale * 100)} %`;
  }
}
