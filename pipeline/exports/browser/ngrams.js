// Logistic regression on n-grams (embeddings/tokenization/ngrams.py): the hashes are those of scikit-learn.

const FINAL_SIGMA = new RegExp(
  `(?<=[${IN.pythonCased}][${IN.pythonIgnorable}]*)\u03A3(?![${IN.pythonIgnorable}]*[${IN.pythonCased}])`, "gu");
const PYTHON_LOWERED = new RegExp(`[${IN.pythonLowered}]`, "gu");
const SIGNS = new RegExp(`[${IN.pythonWord}]+|[^${IN.pythonWord}${IN.pythonSpace}]`, "gu");
const NOT_SPACE = new RegExp(`[^${IN.pythonSpace}]+`, "gu");
const UTF8 = new TextEncoder();

function pythonLower(text) {                   // str.lower of Python
  return text.replace(FINAL_SIGMA, "\u03C2").replace(PYTHON_LOWERED, letter => letter.toLowerCase());
}
function murmur3(bytes, start, end) {          // MurmurHash3, 32 bits, seed 0, of bytes[start:end]; signed
  const length = end - start, whole = end - length % 4;
  const mixed = k => {
    const product = Math.imul(k, 0xcc9e2d51);
    return Math.imul(product << 15 | product >>> 17, 0x1b873593);
  };
  let hash = 0, rest = 0;
  for (let i = start; i < whole; i += 4) {
    hash ^= mixed(bytes[i] | bytes[i + 1] << 8 | bytes[i + 2] << 16 | bytes[i + 3] << 24);
    hash = Math.imul(hash << 13 | hash >>> 19, 5) + 0xe6546b64 | 0;
  }
  for (let i = end - 1; i >= whole; i--) rest = rest << 8 | bytes[i];
  hash ^= mixed(rest) ^ length;
  hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
  hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
  return hash ^ hash >>> 16;
}
function bucketOf(hash, half) {                // the column that scikit-learn's FeatureHasher chooses
  return hash === -2147483648 ? (2147483647 - (half - 1)) % half : Math.abs(hash) % half;
}
function counter(bytes, half, offset) {        // counts n-grams by bucket
  const counts = new Map();
  const add = (start, end) => {
    const bucket = offset + bucketOf(murmur3(bytes, start, end), half);
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  };
  return { counts, add };
}
function wordNgrams(lowered, longest, half) {
  const words = (lowered.match(SIGNS) ?? []).map(word => UTF8.encode(word + " "));
  const bytes = joined(words), { counts, add } = counter(bytes, half, 0);
  const starts = [0];
  for (const word of words) starts.push(starts.at(-1) + word.length);
  for (let n = 1; n <= longest; n++) {
    for (let i = 0; i + n <= words.length; i++) add(starts[i], starts[i + n] - 1);
  }
  return counts;
}
function characterNgrams(lowered, [shortest, longest], half) {  // within words, each between two spaces
  const words = lowered.match(NOT_SPACE), spaced = words ? ` ${words.join(" ")} ` : "";
  const { counts, add } = counter(UTF8.encode(spaced), half, half);
  let starts = [0], at = 1;                    // first byte of each character of the word
  for (const character of spaced.slice(1)) {
    starts.push(at);
    at += character === " " ? 1 : byteLength(character);
    if (character !== " ") continue;
    starts.push(at);
    const length = starts.length - 1;
    for (let n = shortest; n <= longest; n++) {
      for (let i = 0; i < Math.max(1, length - n + 1); i++) add(starts[i], starts[Math.min(i + n, length)]);
      if (length <= n) break;                  // a short word is counted once
    }
    starts = [at - 1];
  }
  return counts;
}
function byteLength(character) {
  const code = character.codePointAt(0);
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}
function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { bytes.set(part, at); at += part.length; }
  return bytes;
}

// n-grams of a text, weighted by TF-IDF and multiplied by the weights: log-probabilities, (labels,)
function ngramScores(branch, text, nLabels) {
  const { words, characters, buckets, weights, scales, idf, bias, rowOf } = branch, width = bias.length;
  const lowered = pythonLower(encodable(text)), outputs = Float64Array.from(bias);
  for (const counts of [wordNgrams(lowered, words, buckets / 2), characterNgrams(lowered, characters, buckets / 2)]) {
    const sums = new Float64Array(width);
    let squares = 0;
    for (const [bucket, count] of counts) {
      const row = rowOf[bucket] - 1;           // -1: no training text has the n-gram
      if (row < 0) continue;
      const value = (Math.log(count) + 1) * idf(row);
      squares += value * value;
      if (row * width < weights.length) for (let j = 0; j < width; j++) sums[j] += value * weights[row * width + j];
    }
    if (squares) for (let j = 0; j < width; j++) outputs[j] += sums[j] * scales[j] / Math.sqrt(squares);
  }
  return logSoftmax(nLabels === 2 && width === 1 ? Float64Array.of(-outputs[0] / 2, outputs[0] / 2) : outputs);
}
