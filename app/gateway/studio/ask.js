// The form: what to make, from what.

import * as api from "./api.js";
import { Problem } from "./api.js";
import { Caption } from "./caption.js";
import { byId, el, icon, radios, say } from "./dom.js";
import { examples } from "./examples.js";
import { message } from "./messages.js";
import { Options } from "./options.js";
import { Photos } from "./photos.js";
import { Second } from "./second.js";
import { textsOf } from "./texts.js";

const DRAFT = "draft";
const MOST_WAIT = 120; // seconds that a wait is counted down from
const VARIATIONS = 4;

// A drawing of the house and a caption for it, for the tasks that take a photo.
const EXAMPLE = {
  file: "example.jpg", bundle: "aviary", hole: { x: 0.3, y: 0.4, width: 0.34, height: 0.28 },
  texts: { manipulate: "a bird with green wings and a red belly", inpaint: "a bird with red wings" },
};

const recall = () => {
  try { return JSON.parse(sessionStorage.getItem(DRAFT)) || {}; } catch { return {}; }
};

export class Ask {
  /** `submit(task, form, files)` sends it, and rejects with a Problem. */
  constructor(catalogue, submit) {
    Object.assign(this, { catalogue, submit, busy: false, wait: null, examples: [] });
    this.caption = new Caption(() => this.#changed());
    this.second = new Second(() => this.#seconded());
    this.photos = new Photos(byId("photos"), {
      onchange: (error) => (error ? this.report(error) : this.#quiet()),
      example: () => this.#example,
      hint: () => this.#hint,
    });
    this.options = new Options(byId("options"), catalogue, (name) => {
      if (name === "bundle") { this.#words(); this.photos.hinted(); }
      this.#changed();
    });
    byId("form").addEventListener("submit", (event) => { event.preventDefault(); this.generate(); });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !document.querySelector("dialog[open]")) {
        event.preventDefault();
        this.generate();
      }
    });
    byId("generate").disabled = false;
    const draft = recall();
    this.options.kept = draft.options || {};
    // What was typed while the page was still loading stays.
    this.caption.value = this.caption.value || draft.text || "";
    this.choose(catalogue.task(draft.task) ? draft.task : catalogue.tasks[0].name);
  }

  choose(name) {
    this.task = this.catalogue.task(name);
    const choices = this.catalogue.tasks.map((task) => [task.name, task.name]);
    if (byId("tasks").querySelectorAll("input").length !== choices.length) {
      byId("tasks").append(...radios("task", choices, name, (chosen) => this.choose(chosen)));
    }
    for (const radio of byId("tasks").querySelectorAll("input")) radio.checked = radio.value === name;
    byId("summary").textContent = this.task.summary;
    this.options.show(this.task);
    this.photos.show(this.task);
    this.second.show(this.task);
    this.#seconded();
    this.#words();
    this.#changed();
  }

  /** A morph is an animation, and no single picture to explain. */
  #seconded() {
    this.options.moving(this.second.morphs);
    this.#changed();
  }

  async #words() {
    const { task } = this;
    const words = await this.catalogue.words(task.name, this.options.bundle);
    if (task === this.task) {
      this.caption.use(words);
      this.second.use(words);
      this.examples = examples(words, this.catalogue.bundle(this.options.bundle)?.domain);
      this.caption.field.placeholder = this.examples[0] || "";
      byId("text-2").placeholder = this.examples[1] || "";
      this.onwords?.();
    }
  }

  #changed() {
    this.#quiet();
    const draft = { task: this.task.name, text: this.caption.value, options: this.options.kept };
    try { sessionStorage.setItem(DRAFT, JSON.stringify(draft)); } catch { /* it holds for this page */ }
  }

  #quiet() {
    if (this.wait) return;
    byId("problem").hidden = true;
    this.options.wrong([]);
    this.caption.field.removeAttribute("aria-invalid");
  }

  /** Show what is wrong: the service's sentence, and beside each field its own. */
  report(problem) {
    const place = byId("problem");
    place.hidden = false;
    place.replaceChildren(el("p", {}, this.message(problem.message)));
    const unknown = problem.code === "no_known_words";
    if (unknown) byId("text-feedback").textContent = ""; // said once
    const errors = problem.errors || [];
    this.options.wrong(errors);
    if (unknown || errors.some(({ field }) => field === "text") || /\btext\b/.test(problem.message)) {
      this.caption.field.setAttribute("aria-invalid", "true");
    }
    if (problem.retryAfter && problem.retryAfter <= MOST_WAIT) this.#again(problem.retryAfter, place);
  }

  /** A sentence of the service; a bundle that it names is a button. `job`: whose sentence it is. */
  message(text, job = null) {
    const task = job?.task || this.task.name;
    const others = this.catalogue.bundles(task).filter((name) => task !== this.task.name || name !== this.options.bundle);
    return message(text, others, (name) => {
      if (task !== this.task.name) this.choose(task);
      if (job && !this.caption.value) [this.caption.value] = textsOf(job);
      this.options.set({ bundle: name });
      this.caption.field.focus();
    });
  }

  /** The service says when it is worth trying again. */
  #again(seconds, place) {
    clearInterval(this.wait);
    const made = el("button", { type: "submit", class: "quiet" }, icon("again"), el("span", {}));
    place.append(made);
    let left = Math.ceil(seconds);
    const show = () => {
      made.disabled = left > 0;
      made.lastElementChild.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      if (left <= 0) { clearInterval(this.wait); this.wait = null; }
      left -= 1;
    };
    show();
    this.wait = setInterval(show, 1000);
  }

  async #form() {
    const form = new FormData();
    this.second.append(form, this.caption.value);
    for (const [name, value] of Object.entries(this.options.values())) form.append(name, value);
    const files = await this.photos.files();
    for (const [name, { blob, name: fileName }] of Object.entries(files)) form.append(name, blob, fileName);
    return [form, files];
  }

  async generate() {
    if (this.busy) return;
    const missing = this.photos.missing();
    if (missing) {
      this.report(new Problem(0, missing));
      return;
    }
    this.#hold(true);
    try {
      const [form, files] = await this.#form();
      await this.submit(this.task.name, form, files);
      clearInterval(this.wait);
      this.wait = null;
      this.#quiet();
    } catch (problem) {
      this.report(problem);
    } finally {
      this.#hold(false);
    }
  }

  #hold(busy) {
    this.busy = busy;
    byId("generate").setAttribute("aria-busy", String(busy));
    byId("generate").firstElementChild.textContent = busy ? "Generating…" : "Generate";
  }

  /** What fetches the example; null where its bundle does not offer the task. */
  get #example() {
    if (!this.catalogue.offer(this.task.name, EXAMPLE.bundle) || !EXAMPLE.texts[this.task.name]) return null;
    return async () => {
      const blob = await api.blob(new URL(EXAMPLE.file, import.meta.url).pathname);
      this.options.set({ bundle: EXAMPLE.bundle });
      this.caption.value = EXAMPLE.texts[this.task.name];
      await this.photos.set(this.photos.open, blob, EXAMPLE.file, null, EXAMPLE.hole);
      this.#changed();
    };
  }

  /** What photos the bundle is for. */
  get #hint() {
    const domain = this.catalogue.bundle(this.options.bundle)?.domain;
    return domain ? `${this.options.bundle} was trained on ${domain}. Photos of anything else turn out poorly.` : "";
  }

  /** A photo from outside: to the task at hand, or to the first that takes one. */
  async takePhoto(blob, name) {
    if (!this.photos.open) {
      const task = this.catalogue.tasks.find(({ images }) => images.length);
      if (!task) return;
      this.choose(task.name);
    }
    await this.photos.set(this.photos.open, blob, name).catch((error) => this.report(error));
  }

  /** Captions of earlier jobs, to choose from. */
  prompts(captions) {
    byId("prompts").hidden = !captions.length;
    byId("prompts-list").replaceChildren(...captions.map((text) => el("button", {
      type: "button",
      onclick: () => {
        this.caption.value = text;
        byId("prompts").open = false;
        this.caption.field.focus();
        this.#changed();
      },
    }, text)));
  }

  /** More of the same kind: an earlier job's settings with other seeds. */
  async vary(job, files) {
    const { count, frames } = job.input;
    await this.repeat(job, "", files);
    this.options.set({ count: frames ? count : VARIATIONS });
    const lost = this.photos.wanted.find(({ photo }) => !files[photo.name]);
    if (lost) this.report(new Problem(null, `Choose the ${lost.photo.name} again: this browser does not have it.`));
    else await this.generate();
  }

  /** Everything as an earlier job had it, with `seed`. */
  async repeat(job, seed, files) {
    const { text, frames, count, ...rest } = job.input;
    this.second.set({ text, frames });
    this.options.kept = {};
    this.choose(job.task);
    this.options.set({ ...rest, seed, count: seed === rest.seed ? count : 1 });
    [this.caption.value] = textsOf(job);
    for (const { photo, mask } of this.photos.wanted) {
      const kept = files[photo.name];
      if (kept) await this.photos.set(photo.name, kept.blob, kept.name, mask && files[mask.name]?.blob);
    }
    await this.#words();
    this.#changed();
    byId("form").scrollIntoView({ block: "start" });
    this.caption.field.focus({ preventScroll: true });
    say("The form has the settings of that image.");
  }
}
