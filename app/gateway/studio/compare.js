// Before and after: one picture over the other, with an edge that is moved by hand or arrow keys.

import { el } from "./dom.js";

/** An element; `after` is the picture's own element, `before` an address; `start`: percent of it that is seen at first. */
export function compare(before, after, names = ["Before", "After"], start = 20) {
  const under = el("img", { class: "before", src: before, alt: names[0] });
  const edge = el("div", { class: "edge", "aria-hidden": "true" });
  const slider = el("input", {
    type: "range", min: 0, max: 100, step: 1, value: start, "aria-label": `${names[0]} and ${names[1].toLowerCase()}`,
    oninput: () => move(slider.valueAsNumber),
  });
  const labels = [el("span", { class: "tag left", "aria-hidden": "true" }, names[0]),
    el("span", { class: "tag right", "aria-hidden": "true" }, names[1])];
  const move = (place) => {
    after.style.clipPath = `inset(0 0 0 ${place}%)`;
    edge.style.left = `${place}%`;
    labels[0].classList.toggle("gone", place < 15);
    labels[1].classList.toggle("gone", place > 85);
    slider.setAttribute("aria-valuetext", `${100 - place} % ${names[1].toLowerCase()}`);
  };
  move(start);
  return el("div", { class: "compare" }, under, after, edge, ...labels, slider);
}
