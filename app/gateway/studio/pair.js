// Any two images of the history, one over the other.

import { compare } from "./compare.js";
import { byId, closable, el, radios, shaped } from "./dom.js";
import { textOf } from "./texts.js";

export class Pair {
  constructor() {
    this.dialog = closable(byId("pair"));
  }

  /** `first`: {job, image}, `others`: more of them to choose the second from. */
  open(first, others) {
    const choices = others.map((other, place) => [place, [
      el("img", { src: other.image.url, alt: `${textOf(other.job)}, seed ${other.image.seed}`, loading: "lazy" })]]);
    byId("pair-choices").replaceChildren(...radios("second-image", choices, 0, (place) => this.#show(first, others[place])));
    this.#show(first, others[0]);
    this.dialog.showModal();
  }

  #show(first, second) {
    const label = ({ job, image }) => `${textOf(job)}, seed ${image.seed}`;
    byId("pair-text").textContent = second ? `First: ${label(first)}\nSecond: ${label(second)}`
      : "There is no other image yet. Generate one more, then compare.";
    byId("pair-view").replaceChildren(...(second ? [shaped(el("figure", { class: "picture" }, compare(
      first.image.url, el("img", { class: "after", src: second.image.url, alt: label(second) }), ["First", "Second"], 50,
    )), first.image)] : []));
  }
}
