// Where each word acted: for the word that is pointed at, the rest of the picture is dimmed.

import * as api from "./api.js";
import { el } from "./dom.js";

const DIM = [14, 10, 30]; // the colour over what the word did not act on
const DIMMEST = 225; // its opacity there, of 255

async function paint(canvas, address) {
  const bitmap = await createImageBitmap(bytes(address));
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let k = 0; k < pixels.data.length; k += 4) {
    const strength = pixels.data[k] / 255;
    pixels.data.set([...DIM, DIMMEST * (1 - strength)], k);
  }
  context.putImageData(pixels, 0, 0);
}

/** The bytes of a data URL; the page's policy lets nothing be fetched but from the service. */
function bytes(address) {
  const text = atob(address.slice(address.indexOf(",") + 1));
  return new Blob([Uint8Array.from(text, (c) => c.charCodeAt(0))], { type: "image/png" });
}

const FEATURES = { W: "What the text scales (W)", b: "What the text adds (b)" };
const HINT = "Point at a word to see where it acted.";

/** A text with those words as buttons that have a map. Places are counted in characters. */
function line(text, words, pointed) {
  const letters = Array.from(text);
  const pieces = [];
  let place = 0;
  for (const { start, end, maps, peak } of words) {
    const address = Object.values(maps || {})[0];
    if (!address || start < place) continue;
    const word = letters.slice(start, end).join("");
    const share = peak == null ? "" : `: ${Math.round(peak * 100)} % at its strongest place.`;
    pieces.push(letters.slice(place, start).join(""), pointed(address, word, "word", share && `“${word}”${share}`));
    place = end;
  }
  return el("p", { class: "said" }, ...pieces, letters.slice(place).join(""));
}

/**
 * Words and feature maps as buttons, for one picture. `canvas` lies over the picture. Null when the
 * service has no explanation of it.
 */
export async function explanation(image, texts, canvas) {
  if (!image.explanation) return null;
  const found = await api.get(image.explanation).catch(() => null);
  if (!found?.words?.length) return null;
  const hint = el("p", { class: "soft small" }, HINT);
  const hide = () => { canvas.classList.remove("shown"); hint.textContent = HINT; };
  const pointed = (address, label, kind, feedback) => {
    const show = async () => {
      await paint(canvas, address);
      canvas.classList.add("shown");
      hint.textContent = feedback || HINT;
    };
    return el("button", {
      type: "button", class: kind, onmouseenter: show, onmouseleave: hide, onfocus: show, onblur: hide, onclick: show,
    }, label);
  };
  const lines = texts.map((text, number) => (
    line(text, found.words.filter((word) => (word.text || 0) === number), pointed)
  ));
  const features = Object.entries(found.features || {})
    .map(([name, address]) => pointed(address, FEATURES[name] || name, "chip"));
  const legend = el("p", { class: "legend soft" }, "Dark: did not act ", el("span", { class: "legend-ramp", "aria-hidden": "true" }), " Clear: acted most");
  return el("div", { class: "explanation" }, hint, ...lines, legend,
    features.length ? el("div", { class: "chips" }, ...features) : null);
}
