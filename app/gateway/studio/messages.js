// Sentences of the service as the page shows them.

import { button } from "./dom.js";

const SENTENCES = /(?<=[.!?]) (?=\p{Lu})/u;

/** Without what only programs need: addresses of the API, and that it was a request. */
export function plain(message) {
  const sentences = message.split(SENTENCES).filter((sentence) => !/\b(GET|POST|DELETE) \//.test(sentence));
  return (sentences.join(" ") || message)
    .replace(/^The request's body/, "The upload").replace(/^The request\b/, "The upload");
}

/** The sentences, with each quoted name of a bundle in them as a button. `bundles`: their names. */
export function message(text, bundles, choose) {
  return plain(text).split(/('[^']+')/).map((piece) => {
    const name = /^'(.+)'$/.exec(piece)?.[1];
    if (!bundles.includes(name)) return piece;
    return button(null, name, () => choose(name), { kind: "bundle-name", title: `Use bundle ${name}` });
  });
}
