// Earlier jobs, newest first.

import * as api from "./api.js";
import { byId, el, radios } from "./dom.js";
import { ENDS, ago, textOf, textsOf } from "./texts.js";

const REFRESH = 5000; // milliseconds; jobs of other tabs and of programs appear, too
const PAGE = 24;
const EMPTY = "Nothing yet. Images that you generate are listed here until the service deletes them.";

function thumbnail(job) {
  const image = job.images.find(({ url }) => url);
  if (image) return el("img", { src: image.url, class: job.input.frames && "frames", alt: "", loading: "lazy", decoding: "async" });
  return el("span", { class: `state ${job.status}` }, ENDS[job.status]);
}

function card(job, current) {
  const count = job.images.filter(({ url }) => url).length;
  return el("li", { "data-id": job.id },
    el("a", { class: "card", href: `#job/${job.id}`, "aria-current": job.id === current ? "true" : null },
      el("span", { class: "thumb" }, thumbnail(job), count > 1 && el("span", { class: "many" }, String(count))),
      el("span", { class: "card-text" }, textOf(job)),
      el("span", { class: "soft small" }, `${job.task} · ${ago(job.created_at)}`)));
}

export class Gallery {
  /** `onchange`: called when other jobs are listed. */
  constructor(tasks, onchange) {
    Object.assign(this, { onchange, jobs: [], next: null, task: "", current: "", timer: null, changes: 0 });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.load(); });
    this.list = byId("gallery-jobs");
    byId("gallery-more").addEventListener("click", () => this.more());
    const choices = [["", "All"], ...tasks.map(({ name }) => [name, name])];
    const filter = byId("gallery-filter");
    filter.append(...radios("shown", choices, "", (task) => { this.task = task; this.load(); }));
  }

  get path() {
    return `${api.root}/jobs?limit=${PAGE}${this.task ? `&task=${this.task}` : ""}`;
  }

  async load() {
    clearTimeout(this.timer);
    const { changes } = this;
    try {
      const page = await api.jobs(this.path);
      if (changes !== this.changes) { this.#later(); return; } // a job came meanwhile
      const fresh = new Set(page.jobs.map(({ id }) => id));
      const oldest = page.jobs.at(-1)?.id || "";
      // Pages that were opened stay open; ids sort by time.
      const older = page.next && this.shownTask === this.task
        ? this.jobs.filter(({ id }) => !fresh.has(id) && id < oldest) : [];
      this.jobs = [...page.jobs, ...older];
      if (!older.length) this.next = page.next;
      this.shownTask = this.task;
      this.show();
    } catch (problem) {
      this.show(problem.message);
    }
  }

  async more() {
    const page = await api.jobs(this.next).catch(() => null);
    if (!page) return;
    this.jobs.push(...page.jobs);
    this.next = page.next;
    this.show();
  }

  /** Something is known of a job that may be newer than the list. */
  put(job) {
    this.changes += 1;
    const place = this.jobs.findIndex(({ id }) => id === job.id);
    if (place >= 0) this.jobs[place] = job;
    else if (!this.task || this.task === job.task) this.jobs.unshift(job);
    this.show();
  }

  /** The same for a job that is listed. */
  know(job) {
    if (this.jobs.some(({ id, status }) => id === job.id && status !== job.status)) this.put(job);
  }

  drop(id) {
    this.changes += 1;
    this.jobs = this.jobs.filter((job) => job.id !== id);
    this.show();
  }

  mark(id) {
    this.current = id;
    for (const each of this.list.querySelectorAll("li")) {
      const link = each.querySelector("a");
      if (each.dataset.id === id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  /** {job, image} of all that is listed. */
  images() {
    return this.jobs.flatMap((job) => job.images.filter(({ url }) => url).map((image) => ({ job, image })));
  }

  /** What was written before, each once. */
  captions() {
    return [...new Set(this.jobs.flatMap(textsOf))];
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (document.hidden ? this.#later() : this.load()), REFRESH);
  }

  show(problem = "") {
    this.#later();
    // What is the same stays as it is, with its focus.
    const state = JSON.stringify([this.jobs, problem, this.next]);
    if (state === this.state) return;
    this.state = state;
    this.onchange();
    const focused = document.activeElement?.closest?.("#gallery-jobs li")?.dataset.id;
    this.list.replaceChildren(...this.jobs.map((job) => card(job, this.current)));
    if (focused) this.list.querySelector(`[data-id="${focused}"] a`)?.focus();
    const feedback = byId("gallery-empty");
    feedback.hidden = this.jobs.length > 0 && !problem;
    feedback.textContent = problem || EMPTY;
    byId("gallery-more").hidden = !this.next;
  }
}
