// Cutting a text into words as the service does, so that those a bundle does not know can be
// marked while somebody types. The same rules as jobs/captions.py.

const LETTER = "[\\p{L}\\p{N}_]";
const WORD = new RegExp(`${LETTER}+`, "gu");
const SEPARATOR = `[\\s;@#$%&?!*()\\[\\]{}<>"«»“”‘’„\`‒-―]|--|''|\\.{2,}|[:,](?!\\p{Nd})`
  + `|\\.(?=[\\])}>"'»”’]*(?:\\s|$))|(?<!${LETTER})'(?!(?:re|ve|ll|m|t|s|d|n)(?!${LETTER}))`;
const ENDING = `(?:n't|'(?:s|m|d|ll|re|ve)?)(?=${SEPARATOR}|$)`;
const pair = (before, after) => `(?<=(?<!${LETTER})(?:${before}))(?=(?:${after})(?!${LETTER}))`;
const INSIDE = [["can", "not"], ["got", "ta"], ["d", "'ye"], ["more", "'n"], ["gim|lem", "me"], ["gon|wan", "na"]]
  .map(([before, after]) => pair(before, after)).join("|");
const TREEBANK = new RegExp(
  `${SEPARATOR}|${ENDING}|.(?:(?!${SEPARATOR}|${ENDING}|${INSIDE}).)*`, "gisu",
);
const CHUNK = /\S+/gu;
const PLAIN = /[a-z0-9]/i;
const MARKS = new Set("–—…“”‘’«»");

const ascii = (token) => token.replace(/[^\x00-\x7f]/g, "").toLowerCase();

function matches(pattern, text) {
  return Array.from(text.matchAll(pattern), (found) => ({
    start: found.index, end: found.index + found[0].length, word: ascii(found[0]),
  }));
}

const TOKENIZERS = {
  regexp: (text) => matches(WORD, text),
  treebank: (text) => matches(TREEBANK, text)
    .filter(({ start, end }) => text.slice(start, end).match(WORD)),
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
