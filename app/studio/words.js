// Cutting a text into words as the service does, so that those a bundle does not know can be
// marked while somebody types. The same rules as jobs/captions.py.

const LETTER = "[\\p{L}\\p{N}_]";
const WORD = new RegExp(`${LETTER}+`, "gu");
const TREEBANK = new RegExp(
  `n't|'(?:s|m|d|ll|re|ve)(?!${LETTER})|${LETTER}(?:${LETTER}|[-/])*?(?=n't(?!${LETTER}))`
  + `|${LETTER}(?:${LETTER}|[-/.])*${LETTER}|${LETTER}`,
  "giu",
);
const SENTENCE = /[^]*?(?:[.!?](?=\s)|$)/g;
const CHUNK = /\S+/gu;
const PLAIN = /[a-z0-9]/i;
const MARKS = new Set("–—…“”‘’«»");

const ascii = (token) => token.replace(/[^\x00-\x7f]/g, "").toLowerCase();

function matches(pattern, text, from = 0) {
  return Array.from(text.matchAll(pattern), (found) => ({
    start: from + found.index, end: from + found.index + found[0].length, word: ascii(found[0]),
  }));
}

const TOKENIZERS = {
  regexp: (text) => matches(WORD, text),
  treebank: (text) => Array.from(text.matchAll(SENTENCE)).flatMap((found) => (
    matches(TREEBANK, found[0].replace(/[.!?]+$/, ""), found.index)
  )),
};

/** Words written in other scripts only: they leave no ASCII token, and are left out too. */
function foreign(text) {
  const strange = (chunk) => !PLAIN.test(chunk)
    && Array.from(chunk).some((c) => c > "\x7f" && !MARKS.has(c));
  return Array.from(text.matchAll(CHUNK))
    .filter((found) => strange(found[0]))
    .map((found) => ({ start: found.index, end: found.index + found[0].length, word: found[0] }));
}

/**
 * What becomes of each word: [{start, end, word, state}], in the order of the text. state: "known",
 * "unknown" (left out), or "cut" (known, but beyond the words that the bundle reads).
 */
export function look(text, { known, tokenizer, maxWords }) {
  let kept = 0;
  const tokens = (TOKENIZERS[tokenizer] || TOKENIZERS.regexp)(text).filter(({ word }) => word);
  const judged = tokens.map((token) => {
    if (!known.has(token.word)) return { ...token, state: "unknown" };
    kept += 1;
    return { ...token, state: kept > maxWords ? "cut" : "known" };
  });
  const outside = foreign(text).map((token) => ({ ...token, state: "unknown" }));
  return [...judged, ...outside].sort((a, b) => a.start - b.start);
}
