// The dialog that shows a job as commands.

import { byId, closable, el, say } from "./dom.js";
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

  show(kind, job, files, keyed) {
    const { title, write } = KINDS[kind];
    byId("code-title").textContent = title;
    byId("code-text").textContent = write(job, files, { origin: window.location.origin, keyed });
    const names = Object.values(files).map(({ name }) => name);
    const key = keyed ? "Your key is taken from the variable MMML_API_KEY. " : "";
    byId("code-told").textContent = key + (names.length ? "It needs these files beside it:" : "");
    byId("code-files").replaceChildren(...Object.values(files).map(({ blob, name }) => {
      const href = URL.createObjectURL(blob);
      this.urls.push(href);
      return el("a", { class: "quiet link", href, download: name }, name);
    }));
    byId("code-copy").lastElementChild.textContent = "Copy";
    this.dialog.showModal();
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
