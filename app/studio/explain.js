// Where each word acted: heat maps over the picture, shown for the word that is pointed at.

import * as api from "./api.js";
import { el } from "./dom.js";

// Dark violet, red, yellow: told apart by lightness alone, too.
const RAMP = [[60, 20, 110], [200, 45, 75], [250, 150, 40], [255, 240, 150]];

function colour(strength) {
  const place = strength * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((value, k) => value + (RAMP[low + 1][k] - value) * (place - low));
}

async function paint(canvas, address) {
  const bitmap = await createImageBitmap(await (await fetchData(address)));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let k = 0; k < pixels.data.length; k += 4) {
    const strength = pixels.data[k] / 255;
    pixels.data.set([...colour(strength), 40 + 190 * strength], k);
  }
  context.putImageData(pixels, 0, 0);
}

/** The bytes of a data URL; the page's policy lets nothing be fetched but from the service. */
function fetchData(address) {
  const text = atob(address.slice(address.indexOf(",") + 1));
  return new Blob([Uint8Array.from(text, (c) => c.charCodeAt(0))], { type: "image/png" });
}

const FEATURES = { W: "W: what the text scales", b: "b: what the text adds" };

/**
 * Words and feature maps as buttons, for one picture. `canvas` lies over the picture. Null when the
 * service has no explanation of it.
 */
export async function explanation(image, text, canvas) {
  if (!image.explanation) return null;
  const found = await api.get(image.explanation).catch(() => null);
  if (!found?.words?.length) return null;
  const show = (address) => paint(canvas, address).then(() => canvas.classList.add("shown"));
  const hide = () => canvas.classList.remove("shown");
  const pointed = (address, label, kind) => el("button", {
    type: "button", class: kind, onmouseenter: () => show(address), onmouseleave: hide,
    onfocus: () => show(address), onblur: hide, onclick: () => show(address),
  }, label);
  const pieces = [];
  let place = 0;
  for (const { start, end, maps } of found.words) {
    const address = Object.values(maps || {})[0];
    if (!address || start < place) continue;
    pieces.push(text.slice(place, start), pointed(address, text.slice(start, end), "word"));
    place = end;
  }
  const features = Object.entries(found.features || {})
    .map(([name, address]) => pointed(address, FEATURES[name] || name, "chip"));
  return el("div", { class: "explanation" },
    el("p", { class: "soft small" }, "Point at a word to see where it acted."),
    el("p", { class: "said" }, ...pieces, text.slice(place)),
    features.length ? el("div", { class: "chips" }, ...features) : null);
}
