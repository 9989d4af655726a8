// Access: an open service asks for nothing; one with keys gets the key once, for a cookie.

import { root, send } from "./api.js";
import { byId, el } from "./dom.js";
import { forgetAll } from "./inputs.js";

async function who() {
  return (await send("GET", `${root}/session`)).json();
}

export class Session {
  constructor() {
    this.known = null;
    this.dialog = byId("sign-in");
    this.dialog.addEventListener("cancel", (event) => event.preventDefault());
    byId("sign-in-form").addEventListener("submit", (event) => this.#sign(event));
    byId("sign-out").addEventListener("click", () => this.leave());
    document.addEventListener("signed-out", () => this.ask());
  }

  get keyed() { return this.known !== null && !this.known.open; }

  /** Resolves once the service lets this browser in. */
  async enter() {
    try {
      this.#welcome(await who());
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      await this.ask();
    }
  }

  ask() {
    if (!this.asking) {
      this.asking = new Promise((resolve) => { this.entered = resolve; });
      this.dialog.showModal();
    }
    return this.asking;
  }

  async #sign(event) {
    event.preventDefault();
    const field = byId("key");
    const feedback = byId("sign-in-problem");
    const headers = { Authorization: `Bearer ${field.value.trim()}` };
    const response = await fetch(`${root}/session`, { method: "POST", headers }).catch(() => null);
    if (!response?.ok) {
      const detail = response ? (await response.json().catch(() => ({}))).detail : null;
      feedback.textContent = detail || "The service does not answer. Try again.";
      feedback.hidden = false;
      field.setAttribute("aria-invalid", "true");
      field.select();
      return;
    }
    field.value = "";
    field.removeAttribute("aria-invalid");
    feedback.hidden = true;
    this.#welcome(await who());
    this.dialog.close();
    this.asking = null;
    this.entered();
  }

  #welcome(known) {
    this.known = known;
    byId("who").hidden = byId("sign-out").hidden = known.open;
    byId("who").replaceChildren(...(known.open ? [] : [el("span", { class: "hidden" }, "Signed in as "), known.name]));
  }

  /** End the session; nothing of it stays in this browser. */
  async leave() {
    await send("DELETE", `${root}/session`).catch(() => {});
    await forgetAll();
    sessionStorage.clear();
    window.location.assign(`${root}/`);
  }
}
