// A task's other fields: seed, count, bundle and method as widgets of their own, whatever else it
// has by its type. What few people change is folded away.

import { root } from "./api.js";
import { button, el, icon } from "./dom.js";

const MAX_SEED = 2 ** 32;
const HINTS = { explain: "Show where each word acted" };
const FOLDED = new Set(["format", "size", "method", "priority", "noise_scale", "candidates", "fidelity"]);
const STILL_ONLY = "png", ANIMATION = "webp", ANIMATION_ONLY = "gif";

const title = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");

function labelled(name, widget, control, extra = {}) {
  return el("div", { class: "field", "data-field": name, ...extra },
    el("label", { for: control.id }, title(name)), widget,
    el("p", { class: "feedback wrong", id: `${control.id}-wrong`, hidden: true }));
}

function select(name, values, chosen, onchange) {
  const made = el("select", { id: `option-${name}`, name, onchange },
    values.map((value) => el("option", { value, selected: value === chosen }, value || "automatic")));
  return made;
}

function numeric({ name, minimum, maximum, type, default: usual }, rest = {}) {
  return el("input", {
    id: `option-${name}`, name, type: "number", min: minimum, max: maximum, placeholder: usual == null ? "automatic" : null,
    inputmode: type === "integer" ? "numeric" : "decimal",
    step: type === "integer" ? 1 : "any", value: usual ?? null, ...rest,
  });
}

/** What may be chosen; nothing at all where the service has no usual value. */
const choices = (field) => (field.default == null ? ["", ...field.enum] : field.enum);

const widgets = {
  seed(field, { onchange, last }) {
    const input = numeric(field, { placeholder: "random", oninput: onchange });
    const set = (value) => { input.value = value; onchange(); };
    const random = () => crypto.getRandomValues(new Uint32Array(1))[0] % MAX_SEED;
    return labelled("seed", el("div", { class: "joined" }, input,
      button("lock", "Keep the seed", () => set(input.value ? "" : last() ?? random()), { bare: true, id: "seed-lock" }),
      button("die", "Roll a seed", () => set(random()), { bare: true, id: "seed-die" })), input);
  },

  count(field, { onchange }) {
    const input = numeric(field, { oninput: onchange });
    const step = (by) => {
      const value = Math.round(input.valueAsNumber || 1) + by;
      input.value = Math.min(Math.max(value, field.minimum ?? 1), field.maximum ?? 16);
      onchange();
    };
    return labelled("count", el("div", { class: "joined stepper" },
      button("minus", "Fewer images", () => step(-1), { bare: true }), input,
      button("plus", "More images", () => step(1), { bare: true })), input);
  },

  choice(field, { onchange, values, chosen }) {
    const control = select(field.name, values, chosen, onchange);
    return labelled(field.name, control, control);
  },

  flag(field, { onchange }) {
    const control = el("input", { id: `option-${field.name}`, name: field.name, type: "checkbox", onchange });
    return el("div", { class: "field flag", "data-field": field.name },
      el("label", {}, control, el("span", {}, HINTS[field.name] || title(field.name))));
  },

  number(field, { onchange }) {
    const control = numeric(field, { oninput: onchange });
    return labelled(field.name, control, control);
  },

  line(field, { onchange }) {
    const control = el("input", { id: `option-${field.name}`, name: field.name, type: "text", oninput: onchange, value: field.default ?? null });
    return labelled(field.name, control, control);
  },
};

export class Options {
  constructor(place, catalogue, onchange) {
    Object.assign(this, { place, catalogue, onchange, task: null, kept: {}, moves: null, shownSeed: () => null });
  }

  show(task) {
    this.task = task;
    const fields = task.fields.filter(({ name }) => name !== "frames")
      .sort((a, b) => (b.name === "bundle") - (a.name === "bundle"));
    const [folded, open] = [[], []];
    for (const field of fields) (FOLDED.has(field.name) ? folded : open).push(this.#widget(field));
    this.more = el("details", { class: "more fold" }, el("summary", {}, "More options"),
      el("div", { class: "options" }, folded));
    this.place.replaceChildren(...open, ...(folded.length ? [this.more] : []));
    this.moves = null;
    this.set(this.kept);
    this.#fit();
  }

  #widget(field) {
    const onchange = () => this.#changed(field.name);
    const make = (kind, more = {}) => widgets[kind](field, { onchange, last: () => this.shownSeed(), ...more });
    if (field.name === "bundle") return this.#bundle(make("choice", { values: this.catalogue.bundles(this.task.name) }));
    if (field.name === "method") return make("choice", { values: this.#methods() });
    if (widgets[field.name]) return make(field.name);
    if (field.enum) return make("choice", { values: choices(field), chosen: field.default });
    return make({ boolean: "flag", integer: "number", number: "number", string: "line" }[field.type] || "line");
  }

  /** With a picture, a sentence and the licence of the chosen one. */
  #bundle(field) {
    const picture = el("img", { alt: "", width: 72, height: 72, onerror: () => { picture.hidden = true; } });
    const control = field.querySelector("select");
    const card = el("div", { class: "bundle-card" }, picture);
    control.replaceWith(card);
    card.append(control, el("p", { class: "soft small" }));
    return field;
  }

  #control(name) { return this.place.querySelector(`[name="${name}"]`); }

  get bundle() {
    return this.#control("bundle")?.value || this.catalogue.bundles(this.task.name)[0];
  }

  #methods() {
    return this.catalogue.offer(this.task.name, this.bundle)?.methods || [];
  }

  #changed(name) {
    if (name === "bundle") {
      const method = this.#control("method");
      method?.replaceChildren(...this.#methods().map((value) => el("option", { value }, value)));
      this.#fit();
    }
    const values = this.values();
    this.#lock();
    this.kept = { ...this.kept, ...values };
    if (!values[name]) delete this.kept[name];
    if (this.moves && this.still) this.kept.format = this.still;
    this.onchange(name);
  }

  /** The lock is closed while there is a seed: every image then starts from it. */
  #lock() {
    const lock = this.place.querySelector("#seed-lock");
    if (!lock) return;
    const closed = Boolean(this.#control("seed").value);
    lock.setAttribute("aria-pressed", String(closed));
    lock.replaceChildren(icon(closed ? "lock" : "unlock"));
  }

  /** What the bundle does where a field is left empty stands in it. */
  #fit() {
    const bundle = this.catalogue.bundle(this.bundle);
    const card = this.place.querySelector(".bundle-card");
    if (card && bundle) {
      card.firstElementChild.hidden = false;
      card.firstElementChild.src = `${root}/models/${encodeURIComponent(bundle.name)}/picture`;
      card.lastElementChild.textContent = [bundle.domain && `Trained on ${bundle.domain}.`,
        bundle.licence && `Licence: ${bundle.licence}.`].filter(Boolean).join("\n");
    }
    const serving = this.catalogue.offer(this.task.name, this.bundle)?.serving || {};
    for (const [name, value] of Object.entries(serving)) {
      const control = this.#control(name);
      if (control?.tagName === "INPUT") control.placeholder = `${value} by default`;
    }
  }

  /**
   * Whether a morph is wanted: it is usually an animation, and can't be explained. The format that
   * stills had comes back after it.
   */
  moving(moves) {
    const format = this.#control("format");
    const explain = this.#control("explain");
    if (explain) explain.disabled = moves;
    if (!format || this.moves === moves) return;
    if (!this.moves) this.still = format.value;
    this.moves = moves;
    const values = choices(this.task.fields.find(({ name }) => name === "format"));
    const offered = values.filter((value) => moves || value !== ANIMATION_ONLY);
    format.replaceChildren(...offered.map((value) => el("option", { value }, value)));
    const wanted = moves && this.still === STILL_ONLY ? ANIMATION : this.still;
    if (offered.includes(wanted)) format.value = wanted;
  }

  /** What is filled in, by name. */
  values() {
    const found = {};
    for (const control of this.place.querySelectorAll("[name]")) {
      if (control.disabled) continue;
      if (control.type === "checkbox") {
        if (control.checked) found[control.name] = "true";
      } else if (control.value.trim()) {
        found[control.name] = control.value.trim();
      }
    }
    return found;
  }

  set(values) {
    this.kept = { ...this.kept, ...values };
    for (const [name, value] of Object.entries(values)) {
      const control = this.#control(name);
      if (!control) continue;
      if (control.type === "checkbox") {
        control.checked = String(value) === "true";
      } else if (control.tagName !== "SELECT" || [...control.options].some((o) => o.value === String(value))) {
        control.value = value;
      }
      if (name === "bundle") this.#changed("bundle");
    }
    this.#lock();
  }

  /** Tell what is wrong with a field, beside it. */
  wrong(errors) {
    for (const place of this.place.querySelectorAll("[data-field]")) {
      const name = place.dataset.field;
      const found = errors.find(({ field }) => field === name);
      const control = this.#control(name);
      const feedback = place.querySelector(".wrong");
      if (!feedback) continue;
      feedback.hidden = !found;
      feedback.textContent = found ? `${title(name)} ${found.detail}.` : "";
      control.toggleAttribute("aria-invalid", Boolean(found));
      if (found) {
        const folded = place.closest("details");
        if (folded) folded.open = true;
        control.setAttribute("aria-invalid", "true");
        control.setAttribute("aria-describedby", feedback.id);
      }
    }
  }
}
