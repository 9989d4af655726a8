// Earlier jobs, newest first.

import * as api from "./api.js";
import { byId, el, radios } from "./dom.js";
import { isFinal } from "./follow.js";
import { ENDS, ago, textOf } from "./texts.js";

const REFRESH = 4000; // milliseconds, while jobs are not over
const PAGE = 24;
const EMPTY = "Nothing yet. Images that you generate are listed here until the service deletes them.";

function thumbnail(job) {
  const image = job.images.find(({ url }) => url);
  if (image) return el("img", { src: image.url, alt: "", loading: "lazy", decoding: "async" });
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
  constructor(tasks) {
    Object.assign(this, { jobs: [], next: null, task: "", current: "", timer: null });
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
    try {
      const page = await api.jobs(this.path);
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

  show(problem = "") {
    const focused = document.activeElement?.closest?.("#gallery-jobs li")?.dataset.id;
    this.list.replaceChildren(...this.jobs.map((job) => card(job, this.current)));
    if (focused) this.list.querySelector(`[data-id="${focused}"] a`)?.focus();
    const told = byId("gallery-empty");
    told.hidden = this.jobs.length > 0 && !problem;
    told.textContent = problem || EMPTY;
    byId("gallery-more").hidden = !this.next;
    clearTimeout(this.timer);
    // The job that is looked at is followed by itself.
    const waiting = this.jobs.some((job) => !isFinal(job) && job.id !== this.current);
    if (waiting) this.timer = setTimeout(() => this.load(), REFRESH);
  }
}
