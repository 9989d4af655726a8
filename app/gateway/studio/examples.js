// Captions to start from: those that a bundle knows every word of.

import { look } from "./words.js";

const CAPTIONS = [
  "a small bird with a red crown and yellow wings",
  "this bird is mostly blue with a white belly",
  "a large bird with green wings and an orange beak",
  "a bird with a red crown and a yellow belly",
  "a purple flower with a yellow centre",
  "this flower has white petals",
  "the petals are pink and the stem is green",
  "a dog on a green meadow",
  "a boat on the sea",
];
// What a caption is about, by what the bundle says that it was trained on.
const SUBJECTS = ["bird", "flower"];

/** Up to three captions. `words`: as `look` needs them; `domain`: what the bundle was trained on. */
export function examples(words, domain = "") {
  const subject = SUBJECTS.find((each) => domain.toLowerCase().includes(each));
  const fits = (text) => !subject || text.includes(subject) || (subject === "flower" && text.includes("petal"));
  const known = (text) => look(text, words).every(({ state }) => state === "known");
  return words ? CAPTIONS.filter((text) => fits(text) && known(text)).slice(0, 3) : [];
}
