// Colours: as the system has them, or light, or dark.

import { byId } from "./dom.js";

const NAMES = { "": "as the system", light: "light", dark: "dark" };
const ORDER = Object.keys(NAMES);
const KEY = "mmml-colours";

function apply(theme) {
  document.documentElement.dataset.theme = theme;
  const label = `Colours: ${NAMES[theme]}`;
  byId("theme").setAttribute("aria-label", label);
  byId("theme").title = label;
}

export function theme() {
  let chosen = "";
  try { chosen = localStorage.getItem(KEY) || ""; } catch { /* a browser that keeps nothing */ }
  apply(NAMES[chosen] ? chosen : "");
  byId("theme").addEventListener("click", () => {
    chosen = ORDER[(ORDER.indexOf(chosen) + 1) % ORDER.length];
    try { localStorage.setItem(KEY, chosen); } catch { /* it holds for this page */ }
    apply(chosen);
  });
}
