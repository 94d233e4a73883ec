// Text to words, by the definition of embeddings/tokenization/word_pattern.py. Classes of characters are those of
// characters.js, because browsers differ in their Unicode versions.

function characterClass(name) {                // content of a class of a regular expression: "\u{30}-\u{39}"
  const escaped = code => `\\u{${code.toString(16)}}`;
  let end = 0;
  return CHARACTERS[name].split(",").map(part => {
    const [gap, longer = "0"] = part.split(".");
    const start = end + parseInt(gap, 36);
    end = start + parseInt(longer, 36) + 1;
    return start + 1 === end ? escaped(start) : `${escaped(start)}-${escaped(end - 1)}`;
  }).join("");
}
const IN = Object.fromEntries(Object.keys(CHARACTERS).map(name => [name, characterClass(name)]));

const PICTURE = `[${IN.emoji}]`, TONE = "[\\u{1F3FB}-\\u{1F3FF}]", JOINER = "[\\u{200C}\\u{200D}]";
const EMOJI = "[0-9#*]\\u{FE0F}?\\u{20E3}|[\\u{1F1E6}-\\u{1F1FF}]{2}"
  + `|(?:${PICTURE}[\\u{FE0E}\\u{FE0F}]?${TONE}?[\\u{E0020}-\\u{E007F}]*)(?:\\u{200D}${PICTURE}\\u{FE0F}?${TONE}?)*`;
const NUMBER = `[${IN.digit}]+(?:[.,][${IN.digit}]+)*`;
const CLUSTER = `[\\u{E40}-\\u{E44}\\u{EC0}-\\u{EC4}]?[${IN.clustered}]`
  + `[${IN.mark}\\u{E30}\\u{E32}\\u{E33}\\u{E45}\\u{EB0}\\u{EB2}\\u{EB3}]*`
  + `(?:(?<=[\\u{1039}\\u{17D2}])[\\u{1000}-\\u{102A}\\u{1780}-\\u{17B3}][${IN.mark}]*)*`;
const LETTER = `[${IN.letter}]`, AFTER = `(?![${IN.word}])`;
const CLITIC = `${LETTER}+?(?=n't${AFTER})|n't${AFTER}|'(?:s|m|d|ll|re|ve)${AFTER}`;
const WORD = new RegExp([
  EMOJI, NUMBER, `[${IN.han}][${IN.mark}]*`, `[${IN.japanese}][${IN.mark}]*`, CLUSTER, CLITIC,
  `${LETTER}+(?:${JOINER}+${LETTER}+)*`, `[^${IN.skipped}][${IN.mark}]*`,
].join("|"), "gu");

const SURROGATE = /[\u{D800}-\u{DFFF}]/gu;     // half of a character, which has no encoding
const REMOVED = /[\u{AD}\u{61C}\u{200E}\u{200F}\u{202A}-\u{202E}\u{2060}\u{2066}-\u{2069}\u{FEFF}]/gu;
const LOWERED = new RegExp(`[${IN.lowered}]`, "gu"), DIGIT = new RegExp(`[${IN.digit}]`, "gu");
const COMBINING = new RegExp(`[${IN.combining}]+`, "gu");
const PUNCTUATION = /^[\p{P}\p{Z}\p{C}]+$/u;
const LONGEST_ALIGNED = 1000;                  // characters between spaces

function encodable(text) {                     // as Python encodes: a lone surrogate is a question mark
  return text.replace(SURROGATE, "?");
}
function canonical(text, form) {
  return text.replace(COMBINING, run => run.normalize(form));
}
function normalised(text, rule) {
  let folded = text.replace(REMOVED, "").replaceAll("\u2019", "'");
  if (rule.strip_accents) folded = canonical(folded, "NFD").replace(/[\u0300-\u036F]/g, "");
  if (rule.lowercase) folded = folded.replace(LOWERED, letter => letter.toLowerCase());
  folded = canonical(folded, "NFC");
  return rule.fold_digits ? folded.replace(DIGIT, "0") : folded;
}
function tokenized(text, rule) {               // [{ word, start, end }]: positions in the text, in UTF-16 code units
  const found = [];
  for (const { 0: chunk, index } of encodable(text).matchAll(/[^ \t\n\r]+/g)) {
    const folded = normalised(chunk, rule), [starts, ends] = alignment(chunk, folded, rule);
    for (const { 0: word, index: at } of folded.matchAll(WORD)) {
      found.push({ word, start: index + starts(at), end: index + ends(at + word.length) });
    }
  }
  return found;
}
function alignment(chunk, folded, rule) {      // from positions in the normalised text to positions in the text
  const same = at => Math.min(at, chunk.length);
  if (chunk.length === folded.length || chunk.length > LONGEST_ALIGNED) return [same, same];
  const places = [0];
  for (const character of chunk) places.push(places.at(-1) + character.length);
  const lengths = places.map(place => normalised(chunk.slice(0, place), rule).length);
  const last = at => places[lengths.findLastIndex(length => length <= at)];
  const end = at => places[Math.max(lengths.findIndex(length => length >= at), lengths.lastIndexOf(at))];
  return [last, end];
}
