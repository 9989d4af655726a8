// The job that is looked at: how far it is, then its pictures and what can be done with them.

import { compare } from "./compare.js";
import { button, el, icon, menu, radios, shaped } from "./dom.js";
import { explanation } from "./explain.js";
import { isFinal } from "./follow.js";
import { plain } from "./messages.js";
import { ENDS, ago, fileName, progressOf, seconds, textOf, textsOf } from "./texts.js";

const DRAWN = new Set(["synthesize", "manipulate", "inpaint"]); // tasks with a drawing in icons.svg

const fact = (name, value) => (value ? el("div", {}, el("dt", {}, name), el("dd", {}, value)) : null);

function heading(job, tool = null) {
  return el("header", { class: "stage-head" },
    el("h2", { class: "said" }, textOf(job)), tool,
    el("p", { class: "soft small" }, `${job.task} · ${ago(job.created_at)}`));
}

export class Stage {
  /**
   * `does`: again, vary, download, downloadAll, enlarge, compare, edit, copy, erase, cancel,
   * message, each called with what it is about. */
  constructor(place, does) {
    Object.assign(this, { place, does, job: null, urls: [], made: [], shown: null });
  }

  /** Of the image that is shown, or the first of several; undefined without one. */
  get seed() {
    const images = this.job?.images || [];
    return (images.find(({ index }) => index === this.shown) || images[0])?.seed ?? undefined;
  }

  /** The pictures that the last view showed are let go; those of this one are made already. */
  #fill(...content) {
    for (const url of this.urls) URL.revokeObjectURL(url);
    [this.urls, this.made] = [this.made, []];
    this.place.replaceChildren(...content.filter(Boolean));
  }

  #address(blob) {
    const url = URL.createObjectURL(blob);
    this.made.push(url);
    return url;
  }

  /** Nothing yet. `examples`: captions to start from. */
  empty(task, examples, use) {
    this.job = null;
    this.#fill(el("div", { class: "nothing" },
      el("div", { class: "nothing-picture", "aria-hidden": "true" }, icon(DRAWN.has(task.name) ? `task-${task.name}` : "photo")),
      el("h2", {}, "Your images appear here"),
      el("p", { class: "soft" }, "Describe it in a sentence, with parts and colours. Then choose Generate."),
      examples.length ? el("div", { class: "examples" }, examples.map((text) => el("button", {
        type: "button", class: "example", onclick: () => use(text),
      }, text))) : null));
  }

  /** A sentence instead of a job, with a way to go on. */
  trouble(detail, label, onclick) {
    this.job = null;
    this.#fill(el("div", { class: "nothing" }, el("p", { class: "problem" }, plain(detail)),
      label && button("again", label, onclick)));
  }

  show(job, inputs) {
    const same = this.job?.id === job.id && !isFinal(this.job) && !isFinal(job);
    if (this.job?.id !== job.id) this.shown = null;
    this.job = job;
    if (same) this.#update();
    else if (isFinal(job)) this.#done(inputs);
    else this.#running(inputs);
  }

  #running(inputs) {
    const { job } = this;
    const photo = Object.values(inputs)[0];
    const tile = () => el("div", { class: "tile waiting" },
      photo && el("img", { src: this.#address(photo.blob), alt: "" }));
    this.bar = el("progress", { "aria-label": "Images generated" });
    this.status = el("p", { class: "status", role: "status" });
    this.stop = button("stop", "Cancel", () => this.does.cancel(this.job));
    this.#fill(heading(job), el("div", { class: `tiles many-${Math.min(job.progress.total, 4)}` },
      Array.from({ length: Math.min(job.progress.total, 4) }, tile)),
    this.bar, el("div", { class: "row apart" }, this.status, this.stop));
    this.#update();
  }

  #update() {
    const { progress, status } = this.job;
    this.status.textContent = progressOf(this.job);
    this.stop.disabled = this.job.cancel_requested;
    if (status === "running" && progress.done) {
      this.bar.max = progress.total;
      this.bar.value = progress.done;
    } else {
      this.bar.removeAttribute("value");
    }
  }

  /** The connection is lost, or back. */
  paused(waiting) {
    if (!this.job || isFinal(this.job)) return;
    this.status.textContent = waiting ? "The connection is lost; trying again…" : progressOf(this.job);
  }

  #done(inputs) {
    const { job } = this;
    const made = job.images.filter((image) => image.url);
    if (!made.length) return this.#without(inputs);
    const image = made.length === 1 ? made[0] : made.find(({ index }) => index === this.shown);
    if (!image) return this.#grid(made, inputs);
    const canvas = el("canvas", { class: "heat", "aria-hidden": "true" });
    const words = el("div", { class: "words" });
    explanation(image, textsOf(job), canvas).then((found) => found && words.replaceChildren(found));
    this.#fill(heading(job, this.#enlarge(made, image)), this.#picture(image, inputs, canvas), words, this.#strip(made, image, inputs),
      ...this.#notes(), this.#actions(image, inputs), this.#facts(image));
    return undefined;
  }

  /** All images of the job; each opens by itself. */
  #grid(made, inputs) {
    const { job, does } = this;
    const tiles = made.map((image) => el("button", {
      type: "button", class: "grid-tile", onclick: () => this.#choose(image.index, inputs),
    }, el("img", { src: image.url, alt: `Image ${image.index + 1}, seed ${image.seed}` })));
    this.#fill(heading(job, this.#enlarge(made, made[0])), el("div", { class: `grid of-${made.length}` }, tiles), ...this.#notes(),
      el("div", { class: "actions" },
        button("download", "Download all", () => does.downloadAll(job, made), { kind: "primary" }),
        button("die", "Variations", () => does.vary(job, inputs)),
        menu("More", this.#more(made[0], inputs))), this.#facts(made[0], `${made[0].seed} – ${made.at(-1).seed}`));
  }

  #enlarge(made, image) {
    return button("enlarge", "Enlarge", () => this.does.enlarge(this.job, made, image.index), { bare: true });
  }

  /** `index`: of the image to show alone; null: all. */
  #choose(index, inputs) {
    this.shown = index;
    this.#done(inputs);
    const next = index === null ? ".grid-tile" : ".strip input:checked";
    this.place.querySelector(next)?.focus();
  }

  /** A job that has no picture: why, and what to do. */
  #without(inputs) {
    const { job } = this;
    const detail = job.error?.detail || job.images.find((image) => image.error)?.error.detail
      || `This job was ${ENDS[job.status]}.`;
    const failed = job.status === "failed" || job.error;
    this.#fill(heading(job),
      el("p", { class: failed ? "problem" : "note", role: "alert" }, this.does.message(detail, job)), ...this.#notes(),
      job.status === "expired" ? null : el("div", { class: "row" },
        button("again", "Again with these settings", () => this.does.again(job, job.input.seed, inputs)),
        button("trash", "Delete", () => this.does.erase(job))));
  }

  #picture(image, inputs, canvas) {
    const after = el("img", {
      class: "after", src: image.url, width: image.width, height: image.height, alt: textOf(this.job),
    });
    const photo = Object.values(inputs)[0];
    const content = photo ? compare(this.#address(photo.blob), after) : after;
    const figure = el("figure", { class: "picture" }, content, canvas);
    return shaped(figure, image);
  }

  #strip(made, chosen, inputs) {
    if (made.length < 2) return null;
    const choices = made.map((image) => [image.index, [el("img", {
      src: image.url, alt: `Image ${image.index + 1}, seed ${image.seed}`, loading: "lazy",
    })]]);
    return el("div", { class: "strip-row" },
      button("grid", "All images", () => this.#choose(null, inputs), { bare: true }),
      el("div", { class: "strip", role: "radiogroup", "aria-label": "Images" },
        radios("picture", choices, chosen.index, (index) => this.#choose(index, inputs))));
  }

  #notes() {
    return this.job.warnings.map((text) => el("p", { class: "note" }, this.does.message(text, this.job)));
  }

  #more(image, inputs) {
    const { job, does } = this;
    return [
      button("again", "Again with this seed", () => does.again(job, image.seed, inputs)),
      button("compare", "Compare with another", () => does.compare(job, image)),
      button("code", "Copy as curl", () => does.copy("curl", job, inputs)),
      button("code", "Copy as Python", () => does.copy("python", job, inputs)),
      button("trash", "Delete", () => does.erase(job)),
    ];
  }

  #actions(image, inputs) {
    const { job, does } = this;
    const edits = does.tasksWithPhoto().map((task) => button("edit", `Use in ${task.name}`, () => does.edit(task, image)));
    return el("div", { class: "actions" },
      el("a", { class: "primary", href: image.url, onclick: (event) => { event.preventDefault(); does.download(image, fileName(job, image)); } },
        icon("download"), el("span", {}, "Download")),
      button("die", "Variations", () => does.vary(job, inputs)),
      edits.length > 0 && menu("Edit", edits), menu("More", this.#more(image, inputs)));
  }

  #facts(image, seeds = String(image.seed)) {
    const { input, timings } = this.job;
    return el("dl", { class: "facts" },
      fact("Seed", seeds), fact("Bundle", input.bundle), fact("Method", input.method),
      fact("Size", `${image.width} × ${image.height}`), timings.queued_ms > 1000 ? fact("Waited", seconds(timings.queued_ms)) : null,
      fact("Took", seconds(timings.total_ms)));
  }
}
