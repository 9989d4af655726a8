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

const APOSTROPHES = new Set("’‘ʼ＇");
const INVISIBLE = /\p{Cf}/gu;

const ascii = (token) => token.replace(/[^\x00-\x7f]/g, "").toLowerCase();
const visible = (text) => text.replace(INVISIBLE, "");

/** A character as it is read: in its compatible form (NFKC), nothing where it is invisible. */
function plain(character) {
  if (APOSTROPHES.has(character)) return "'";
  return visible(character.normalize("NFKC").toLowerCase());
}

/** A text as it is read, and for each unit of it where its character stands in the text. */
function read(text) {
  let lowered = "", start = 0;
  const from = [], to = [];
  for (const character of text) {
    const units = plain(character);
    for (let unit = 0; unit < units.length; unit += 1) {
      from.push(start);
      to.push(start + character.length);
    }
    lowered += units;
    start += character.length;
  }
  return { lowered, from, to };
}

function matches(pattern, text) {
  const { lowered, from, to } = read(text);
  return Array.from(lowered.matchAll(pattern), (found) => ({
    start: from[found.index], end: to[found.index + found[0].length - 1], word: ascii(found[0]),
    token: found[0],
  }));
}

const TOKENIZERS = {
  regexp: (text) => matches(WORD, text),
  treebank: (text) => matches(TREEBANK, text).filter(({ token }) => token.match(WORD)),
};

/** Words written in other scripts only: they leave no ASCII token, and are left out too. */
function foreign(text) {
  const strange = (chunk) => !PLAIN.test(chunk)
    && Array.from(visible(chunk)).some((c) => c > "\x7f" && !MARKS.has(c));
  return Array.from(text.matchAll(CHUNK))
    .filter((found) => strange(found[0]))
    .map((found) => ({ start: found.index, end: found.index + found[0].length, word: found[0] }));
}

/**
 * What becomes of each word: [{start, end, word, state}], in the order of the text. state: "known",
 * "unknown" (left out, and then as it was written first), or "cut" (known, but beyond the words
 * that the bundle reads).
 */
export function look(text, { known, tokenizer, maxWords }) {
  let kept = 0;
  const written = new Map();
  const tokens = (TOKENIZERS[tokenizer] || TOKENIZERS.regexp)(text).filter(({ word }) => word);
  const judged = tokens.map((token) => {
    if (!known.has(token.word)) {
      if (!written.has(token.word)) written.set(token.word, visible(text.slice(token.start, token.end)));
      return { ...token, word: written.get(token.word), state: "unknown" };
    }
    kept += 1;
    return { ...token, state: kept > maxWords ? "cut" : "known" };
  });
  const outside = foreign(text)
    .filter(({ start, end }) => !tokens.some((token) => start <= token.start && token.start < end))
    .map((token) => ({ ...token, word: visible(token.word), state: "unknown" }));
  return [...judged, ...outside].sort((a, b) => a.start - b.start);
}
