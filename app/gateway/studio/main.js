// The studio, put together.

import * as api from "./api.js";
import { Ask } from "./ask.js";
import { Catalogue } from "./catalogue.js";
import { Code } from "./code.js";
import { byId, closable, el, say } from "./dom.js";
import { takePhotos } from "./drop.js";
import { follow, isFinal } from "./follow.js";
import { Gallery } from "./gallery.js";
import { forget, inputsOf, keep } from "./inputs.js";
import { Lightbox } from "./lightbox.js";
import { Pair } from "./pair.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { ENDS, archiveName, fileName, textOf } from "./texts.js";
import { theme } from "./theme.js";
import { zip } from "./zip.js";

/** All images of a job in one file. */
async function archive(job, images) {
  return zip(await Promise.all(images.map(async (image) => ({
    name: fileName(job, image), bytes: new Uint8Array(await (await api.blob(image.url)).arrayBuffer()),
  }))));
}

class Studio {
  constructor(session, catalogue) {
    Object.assign(this, { session, catalogue, stop: () => {}, code: new Code(), lightbox: new Lightbox(), pair: new Pair() });
    this.stage = new Stage(byId("stage"), {
      tasksWithPhoto: () => catalogue.tasks.filter(({ images }) => images.length),
      again: (job, seed, inputs) => this.ask.repeat(job, seed, inputs),
      vary: (job, inputs) => this.ask.vary(job, inputs),
      download: (image, name) => this.download(name, () => api.blob(image.url)),
      downloadAll: (job, images) => this.download(archiveName(job), () => archive(job, images)),
      enlarge: (job, images, index) => this.lightbox.open(images, index, textOf(job)),
      compare: (job, image) => this.compare(job, image),
      edit: (task, image) => this.edit(task, image),
      copy: (kind, job, inputs) => {
        this.code.show(kind, job, catalogue.task(job.task)?.images || [], inputs, session.keyed);
      },
      erase: (job) => this.confirmErase(job),
      cancel: (job) => this.cancel(job),
      message: (text, job) => this.ask.message(text, job),
    });
    this.ask = new Ask(catalogue, (task, form, files) => this.submit(task, form, files));
    this.ask.onwords = () => { if (!this.wanted) this.empty(); };
    this.ask.options.shownSeed = () => this.stage.seed;
    this.gallery = new Gallery(catalogue.tasks, () => { this.ask.prompts(this.gallery.captions()); });
    takePhotos((file) => this.ask.takePhoto(file, file.name));
    window.addEventListener("hashchange", () => { this.route(); this.present(); });
    closable(byId("erase"));
    byId("erase-yes").addEventListener("click", () => this.erase());
    this.gallery.load();
    this.route();
  }

  get wanted() {
    return /^#job\/(\w+)$/.exec(window.location.hash)?.[1];
  }

  empty() {
    this.stage.empty(this.ask.task, this.ask.examples, (text) => {
      this.ask.caption.value = text;
      this.ask.caption.field.focus();
      this.ask.caption.field.dispatchEvent(new Event("input"));
    });
  }

  async submit(task, form, files) {
    const job = await api.submit(task, form);
    if (Object.keys(files).length) await keep(job.id, files);
    this.gallery.put(job);
    window.location.hash = `#job/${job.id}`;
  }

  /** Bring the result into view; from an earlier job's link, the focus goes there, too. */
  present() {
    const stage = byId("stage");
    const { top } = stage.getBoundingClientRect();
    if (top < 0 || top > window.innerHeight / 2) stage.scrollIntoView({ block: "start" });
    if (document.activeElement?.closest("#gallery-jobs")) stage.focus({ preventScroll: true });
  }

  /** Show the job that the address names. */
  async route() {
    const id = this.wanted;
    this.stop();
    this.gallery.mark(id || "");
    if (!id) {
      this.empty();
      return;
    }
    try {
      const [job, inputs] = await Promise.all([api.job(id), inputsOf(id)]);
      if (id === this.wanted) this.watch(job, inputs);
    } catch (problem) {
      if (problem.status === 404 || problem.status === 410) forget(id);
      if (id === this.wanted) this.stage.trouble(problem.message, "Try again", () => this.route());
    }
  }

  watch(job, inputs) {
    this.stage.show(job, inputs);
    this.gallery.know(job);
    if (isFinal(job)) return;
    const here = () => this.wanted === job.id;
    this.stop = follow(job, {
      onchange: (changed) => {
        if (here()) this.stage.show(changed, inputs);
        if (!isFinal(changed)) return;
        this.gallery.put(changed);
        // Images are taller than what waited for them; whoever writes or paints on is not disturbed.
        if (here() && (document.activeElement === byId("generate") || document.activeElement === document.body)) this.present();
        say(`The job is ${ENDS[changed.status]}.`);
      },
      onpause: (waiting) => here() && this.stage.paused(waiting),
      onproblem: (problem) => here() && this.stage.trouble(problem.message, "Try again", () => this.route()),
    });
  }

  async cancel(job) {
    try {
      const changed = await api.cancel(job.id);
      this.gallery.put(changed);
      if (isFinal(changed)) this.route();
    } catch (problem) {
      if (problem.status !== 409) this.ask.report(problem); // 409: it was over already
    }
  }

  compare(job, image) {
    const others = this.gallery.images().filter((other) => other.image.url !== image.url);
    this.pair.open({ job, image }, others);
  }

  /** Under a name that says what it is; the service's own names only number them. */
  async download(name, get) {
    try {
      const href = URL.createObjectURL(await get());
      el("a", { href, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
    } catch (problem) {
      this.ask.report(problem);
    }
  }

  async edit(task, image) {
    try {
      const blob = await api.blob(image.url);
      this.ask.choose(task.name);
      await this.ask.takePhoto(blob, `picture-${image.seed}.${image.format.replace("jpeg", "jpg")}`);
      byId("form").scrollIntoView({ block: "start" });
      this.ask.caption.field.focus({ preventScroll: true });
    } catch (problem) {
      this.ask.report(problem);
    }
  }

  confirmErase(job) {
    this.erasing = job;
    byId("erase").showModal();
  }

  async erase() {
    const { id } = this.erasing;
    byId("erase").close();
    try {
      await api.erase(id);
    } catch (problem) {
      if (problem.status !== 410) {
        this.ask.report(problem);
        return;
      }
    }
    await forget(id);
    this.gallery.drop(id);
    if (this.wanted === id) window.location.hash = "";
    say("Deleted.");
  }
}

async function start(session) {
  try {
    await session.enter();
    const catalogue = await Catalogue.load();
    new Studio(session, catalogue); // it lives by its listeners
  } catch (problem) {
    const stage = new Stage(byId("stage"), {});
    stage.trouble(problem.message, "Try again", () => start(session));
  }
}

theme();
closable(byId("shortcuts"));
byId("shortcuts-button").addEventListener("click", () => byId("shortcuts").showModal());
if (/Mac|iP/.test(navigator.platform)) {
  for (const key of document.querySelectorAll("kbd")) key.textContent = key.textContent.replace("Ctrl", "⌘");
}
start(new Session());
