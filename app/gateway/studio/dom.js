// Making and finding elements, and speaking to screen readers.

export const byId = (id) => document.getElementById(id);

/** An element. Attributes that are functions listen ("onclick"), false and null are left out. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the symbols in icons.svg. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", name.startsWith("task-") ? "icon drawing" : "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${new URL("icons.svg", import.meta.url).pathname}#${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon; without a visible label, the label is for screen readers and tooltips. */
export function button(name, label, onclick, { bare = false, kind = "quiet", ...rest } = {}) {
  const labelled = bare ? { "aria-label": label, title: label } : {};
  const content = bare ? [] : [el("span", {}, label)];
  const type = { type: "button", class: bare ? `${kind} bare` : kind };
  return el("button", { ...type, ...labelled, onclick, ...rest }, name ? icon(name) : null, ...content);
}

/** A button that opens a list of buttons. */
export function menu(label, items) {
  const place = el("details", {
    class: "menu",
    onclick: ({ target }) => { if (target.closest(".menu-items > *")) place.open = false; },
    onkeydown: (event) => {
      if (event.key !== "Escape" || !place.open) return;
      place.open = false;
      place.firstElementChild.focus();
    },
  }, el("summary", { class: "quiet" }, label), el("div", { class: "menu-items" }, items));
  return place;
}

// Whatever else is touched or gets the focus closes an open list.
for (const kind of ["pointerdown", "focusin"]) {
  document.addEventListener(kind, ({ target }) => {
    for (const each of document.querySelectorAll(".menu[open]")) if (!each.contains(target)) each.open = false;
  });
}

/** Have a screen reader say something. */
export function say(text) {
  const place = byId("say");
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

/** The element in the shape of a picture, as large as there is room. Tiny ones are enlarged six times at most. */
export function shaped(element, { width, height }) {
  element.classList.add("shaped");
  element.style.aspectRatio = `${width} / ${height}`;
  element.style.setProperty("--shape", width / height);
  element.style.setProperty("--native", `${width}px`);
  return element;
}

/** A group of radio buttons that looks like one control. `choices`: [value, label] pairs. */
export function radios(name, choices, chosen, onchange) {
  return choices.map(([value, label]) => el("label", { class: "segment" },
    el("input", {
      type: "radio", name, value, checked: value === chosen, onchange: () => onchange(value),
    }),
    ...(Array.isArray(label) ? label : [el("span", {}, label)])));
}

/** Dialogs close by their own buttons. */
export function closable(dialog) {
  for (const closer of dialog.querySelectorAll("[data-close]")) {
    closer.addEventListener("click", () => dialog.close());
  }
  return dialog;
}
