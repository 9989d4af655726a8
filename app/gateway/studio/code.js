// The dialog that shows a job as commands.

import { root } from "./api.js";
import { byId, closable, el, icon, say } from "./dom.js";
import { curl, pythonCode } from "./snippets.js";

const KINDS = {
  curl: { title: "The same with curl", write: curl },
  python: { title: "The same in Python", write: pythonCode },
};

async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Without TLS, browsers offer the old way only.
  getSelection().selectAllChildren(byId("code-text"));
  document.execCommand("copy");
}

export class Code {
  constructor() {
    this.dialog = closable(byId("code"));
    this.urls = [];
    byId("code-copy").addEventListener("click", () => this.#copy());
    this.dialog.addEventListener("close", () => {
      for (const url of this.urls.splice(0)) URL.revokeObjectURL(url);
    });
  }

  /** `images`: the pictures that the task takes; `kept`: those of the job that are in this browser. */
  show(kind, job, images, kept, keyed) {
    const { title, write } = KINDS[kind];
    const files = Object.fromEntries(images.map(({ name }) => [name, kept[name] || { name: `${name}.png` }]));
    byId("code-title").textContent = title;
    byId("code-text").textContent = write(job, files, { origin: window.location.origin + root, keyed });
    this.#needs(Object.values(files), keyed);
    byId("code-copy").lastElementChild.textContent = "Copy";
    this.dialog.showModal();
  }

  /** Say which files the command reads, and give those that are here. */
  #needs(files, keyed) {
    const here = files.filter(({ blob }) => blob);
    const elsewhere = files.filter(({ blob }) => !blob).map(({ name }) => name);
    byId("code-feedback").textContent = [
      keyed && "Your key is taken from the variable MMML_API_KEY.",
      elsewhere.length && `It reads ${elsewhere.join(" and ")}, which this browser does not have.`,
      here.length && "It reads these files:",
    ].filter(Boolean).join(" ");
    byId("code-files").replaceChildren(...here.map(({ blob, name }) => {
      const href = URL.createObjectURL(blob);
      this.urls.push(href);
      return el("a", { class: "quiet link", href, download: name }, icon("download"), el("span", {}, name));
    }));
  }

  async #copy() {
    try {
      await copy(byId("code-text").textContent);
      byId("code-copy").lastElementChild.textContent = "Copied";
      say("Copied.");
    } catch {
      getSelection().selectAllChildren(byId("code-text"));
      say("Selected; copy it with your browser.");
    }
  }
}
