// A second caption: pictures on the way from the first to the second, or of a mix of both.

import { feedbackOn } from "./caption.js";
import { byId, radios } from "./dom.js";
import { look } from "./words.js";

const HOW = [["morph", "Morph"], ["mix", "Mix"]];

export class Second {
  constructor(onchange) {
    this.onchange = onchange;
    this.place = byId("second");
    byId("second-how").append(...radios("second-how", HOW, "morph", (how) => this.#use(how)));
    byId("text-2").addEventListener("input", () => { this.mark(); onchange(); });
    byId("frames").addEventListener("input", onchange);
    byId("share").addEventListener("input", () => this.#share(byId("share").valueAsNumber));
    this.place.addEventListener("toggle", onchange);
    this.how = "morph";
    this.words = null;
  }

  /** Only for tasks that take several captions. */
  show(task) {
    this.place.hidden = !task.fields.some(({ name }) => name === "frames");
  }

  use(words) {
    this.words = words;
    this.mark();
  }

  mark() {
    const tokens = this.words ? look(byId("text-2").value, this.words) : [];
    byId("text-2-feedback").textContent = tokens.length ? feedbackOn(tokens, this.words.bundle) : "";
  }

  get text() {
    return this.place.hidden || !this.place.open ? "" : byId("text-2").value.trim();
  }

  get morphs() { return Boolean(this.text) && this.how === "morph"; }

  #use(how) {
    this.how = how;
    for (const radio of byId("second-how").querySelectorAll("input")) radio.checked = radio.value === how;
    byId("second-morph").hidden = how !== "morph";
    byId("second-mix").hidden = how !== "mix";
    this.onchange();
  }

  #share(percent) {
    byId("share").value = percent;
    byId("share-value").textContent = `${Math.round(percent)} %`;
    this.onchange();
  }

  /** Put both captions into the form. */
  append(form, first) {
    form.append("text", first);
    if (!this.text) return;
    form.append("text", this.text);
    if (this.how === "morph") {
      form.append("frames", byId("frames").value);
    } else {
      const share = byId("share").valueAsNumber;
      form.append("weight", 100 - share);
      form.append("weight", share);
    }
  }

  /** As an earlier job had it. */
  set({ text, frames }) {
    const [first, second] = Array.isArray(text) ? text : [text];
    this.place.open = second !== undefined;
    byId("text-2").value = second?.text ?? second ?? "";
    this.mark();
    if (frames) byId("frames").value = frames;
    const [own, other] = [first?.weight ?? 1, second?.weight ?? 1];
    this.#share((other / (own + other)) * 100);
    this.#use(frames || second === undefined ? "morph" : "mix");
  }
}
