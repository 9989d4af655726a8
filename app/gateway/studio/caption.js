// The caption: words that the bundle does not know are marked while one types.

import { byId, el } from "./dom.js";
import { look } from "./words.js";

const MOST_CHIPS = 400;

const list = (words) => words.map((word) => `“${word}”`).join(", ");
const unique = (tokens) => [...new Set(tokens.map((token) => token.word))];

/** One sentence about what the bundle won't read. */
export function feedbackOn(tokens, bundle) {
  const unknown = unique(tokens.filter((token) => token.state === "unknown"));
  const cut = tokens.filter((token) => token.state === "cut").length;
  const parts = [];
  if (tokens.length && !tokens.some((token) => token.state === "known")) {
    parts.push(`${bundle} knows no word of this. Look below at those it knows.`);
  } else if (unknown.length) {
    const left = unknown.length > 1 ? "they are left out" : "it is left out";
    parts.push(`${bundle} does not know ${list(unknown)}; ${left}.`);
  }
  if (cut) parts.push(`Its last ${cut} words are more than ${bundle} reads.`);
  return parts.join(" ");
}

function marked(text, tokens) {
  const pieces = [];
  let place = 0;
  for (const { start, end, state } of tokens) {
    if (state === "known" || start < place) continue;
    pieces.push(text.slice(place, start), el("mark", { class: state }, text.slice(start, end)));
    place = end;
  }
  return [...pieces, text.slice(place), "\n"];
}

export class Caption {
  /** `words`: {bundle, known, tokenizer, maxWords}, or null while they are not known. */
  constructor(onchange) {
    this.words = null;
    this.field = byId("text");
    this.marks = byId("text-marks");
    this.field.addEventListener("input", () => { this.mark(); onchange(); });
    this.field.addEventListener("scroll", () => this.align());
    byId("vocabulary-search").addEventListener("input", () => this.chips());
    byId("vocabulary").addEventListener("toggle", () => this.chips());
  }

  get value() { return this.field.value; }

  set value(text) {
    this.field.value = text;
    this.mark();
  }

  use(words) {
    this.words = words;
    byId("vocabulary").hidden = !words;
    byId("vocabulary-title").textContent = words ? `The ${words.known.size} words it knows` : "";
    this.chips();
    this.mark();
  }

  mark() {
    const tokens = this.words ? look(this.value, this.words) : [];
    this.marks.replaceChildren(...marked(this.value, tokens));
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
    this.align();
    const sentence = tokens.length ? feedbackOn(tokens, this.words.bundle) : "";
    const place = byId("text-feedback");
    if (place.textContent !== sentence) place.textContent = sentence;
  }

  align() {
    this.marks.scrollTop = this.field.scrollTop;
  }

  chips() {
    if (!this.words || !byId("vocabulary").open) return;
    const part = byId("vocabulary-search").value.trim().toLowerCase();
    const found = [...this.words.known].filter((word) => word.includes(part));
    const chips = found.slice(0, MOST_CHIPS).map((word) => el("button", {
      type: "button", class: "chip", onclick: () => this.insert(word),
    }, word));
    const more = found.length - chips.length;
    byId("vocabulary-words").replaceChildren(
      ...chips,
      ...(more > 0 ? [el("span", { class: "soft" }, `and ${more} more`)] : []),
      ...(found.length ? [] : [el("span", { class: "soft" }, "No word like that.")]),
    );
  }

  /** Put a word where the caret is. */
  insert(word) {
    const { selectionStart: start, selectionEnd: end, value } = this.field;
    const before = value.slice(0, start);
    const after = value.slice(end);
    const left = before && !/\s$/.test(before) ? " " : "";
    const right = /^\s/.test(after) || !after ? "" : " ";
    this.field.setRangeText(`${left}${word}${right}`, start, end, "end");
    this.field.dispatchEvent(new Event("input"));
  }
}
