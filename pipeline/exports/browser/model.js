// The encoder and its head (transformer/layers and transformer/models), for one text.

const [PAD, UNKNOWN, START, END] = [0, 1, 2, 3], N_SPECIAL = 5;

function embedded(model, ids) {                // (L, d): the rows of the embedding matrix, projected if it is narrower
  const { rows, projection } = model.embedding, width = rows.shape[1];
  const found = new Float64Array(ids.length * width);
  ids.forEach((id, i) => {
    for (let j = 0; j < width; j++) found[i * width + j] = rows.values[id * width + j] * rows.scales[id];
  });
  return projection ? linear(found, ids.length, projection) : found;
}
function withPositions(model, x, length) {     // sinusoidal or learned positions, in place
  const { d_model: d, positions, position_scale: scale } = model.shape;
  if (positions === "learned") return add(x, model.positions.weight.values.subarray(0, x.length));
  if (positions !== "sinusoidal") return x;
  for (let i = 0; i < length; i++) {
    for (let j = 0; j < d; j += 2) {
      const angle = i * 10000 ** (-j / d);
      x[i * d + j] += scale * Math.sin(angle);
      x[i * d + j + 1] += scale * Math.cos(angle);
    }
  }
  return x;
}
function convolved(model, x, length) {         // adds the convolutions of several widths to x (L, d)
  const { d_model: d, norm_eps: eps } = model.shape, { norm, filters, output } = model.convolutions;
  const tokens = layerNorm(x, length, norm, eps), features = new Float64Array(length * d * filters.length);
  filters.forEach(({ weight, bias }, number) => {
    const width = weight.shape[1] / d, half = (width - 1) / 2, windows = new Float64Array(length * d * width);
    for (let i = 0; i < length; i++) {         // windows (L, d * width), in the order of the weights (d, d, width)
      for (let offset = Math.max(-half, -i); offset <= Math.min(half, length - 1 - i); offset++) {
        for (let j = 0; j < d; j++) {
          windows[(i * d + j) * width + offset + half] = tokens[(i + offset) * d + j];
        }
      }
    }
    const values = linear(windows, length, { weight, bias });                    // (L, d)
    for (let i = 0; i < length; i++) {
      for (let j = 0; j < d; j++) features[(i * filters.length + number) * d + j] = gelu(values[i * d + j]);
    }
  });
  return add(linear(features, length, output), x);
}
function head(x, length, d, at, width) {       // columns of one head: (L, d) to (L, d_head)
  const part = new Float64Array(length * width);
  for (let i = 0; i < length; i++) part.set(x.subarray(i * d + at, i * d + at + width), i * width);
  return part;
}
function rotate(x, length, width) {            // rotary positions, in place; x (L, d_head)
  const half = width / 2;
  for (let i = 0; i < length; i++) {
    for (let j = 0; j < half; j++) {
      const angle = i * 10000 ** (-2 * j / width), cos = Math.cos(angle), sin = Math.sin(angle);
      const first = x[i * width + j], second = x[i * width + half + j];
      x[i * width + j] = first * cos - second * sin;
      x[i * width + half + j] = second * cos + first * sin;
    }
  }
}
function attention(model, x, length, { query, key, value, output }) {  // (L, d) to (L, d)
  const { d_model: d, n_heads: heads, positions } = model.shape, width = d / heads;
  const [q, k, v] = [query, key, value].map(layer => linear(x, length, layer));  // (L, d) each
  const attended = new Float64Array(length * d), values = new Float64Array(width * length);
  const scores = new Float64Array(length * length);
  for (let number = 0; number < heads; number++) {
    const at = number * width, own = head(q, length, d, at, width), others = head(k, length, d, at, width);
    if (positions === "rotary") { rotate(own, length, width); rotate(others, length, width); }
    product(own, length, others, length, width, scores);                         // (L, L)
    const slope = positions === "alibi" ? model.slopes[number] : 0, factor = 1 / Math.sqrt(width);
    for (let i = 0; i < length; i++) {
      for (let j = 0; j < length; j++) {
        scores[i * length + j] = scores[i * length + j] * factor - slope * Math.abs(i - j);
      }
    }
    softmaxRows(scores, length, length);
    for (let i = 0; i < length; i++) for (let j = 0; j < width; j++) values[j * length + i] = v[i * d + at + j];
    const mixed = product(scores, length, values, width, length);                // (L, d_head)
    for (let i = 0; i < length; i++) attended.set(mixed.subarray(i * width, (i + 1) * width), i * d + at);
  }
  return linear(attended, length, output);
}
function feedForward(model, x, length, { inner, gate, output }) {  // (L, d) to (L, d)
  const activation = ACTIVATIONS[model.shape.activation], values = linear(x, length, inner);
  const gates = gate ? linear(x, length, gate) : null;
  for (let i = 0; i < values.length; i++) values[i] = gates ? values[i] * activation(gates[i]) : activation(values[i]);
  return linear(values, length, output);
}
function layer(model, x, length, parts) {      // pre-norm or post-norm
  const eps = model.shape.norm_eps, isPre = model.shape.norm === "pre";
  const blocks = [[parts.attention_norm, inner => attention(model, inner, length, parts.attention)],
                  [parts.feedforward_norm, inner => feedForward(model, inner, length, parts.feedforward)]];
  return blocks.reduce((hidden, [norm, block]) => isPre
    ? add(block(layerNorm(hidden, length, norm, eps)), hidden)
    : layerNorm(add(block(hidden), hidden), length, norm, eps), x);
}
function meanRow(x, length, d) {               // (L, d) to (d,)
  const mean = new Float64Array(d);
  for (let i = 0; i < x.length; i++) mean[i % d] += x[i] / length;
  return mean;
}
function maximumRow(x, d) {                    // (L, d) to (d,)
  const largest = x.slice(0, d);
  for (let i = d; i < x.length; i++) largest[i % d] = Math.max(largest[i % d], x[i]);
  return largest;
}
function transformerLogits(model, ids) {       // (labels,)
  const { d_model: d, norm_eps: eps, pooling } = model.shape, length = ids.length;
  const vectors = embedded(model, ids);
  let x = withPositions(model, vectors.slice(), length);
  if (model.embedding_norm) x = layerNorm(x, length, model.embedding_norm, eps);
  if (model.convolutions) x = convolved(model, x, length);
  for (const parts of model.layers) x = layer(model, x, length, parts);
  if (model.norm) x = layerNorm(x, length, model.norm, eps);
  if (pooling === "cls") {
    const pooled = linear(x.subarray(0, d), 1, model.head.pooler).map(Math.tanh);  // (d,)
    return linear(pooled, 1, model.head.output);
  }
  const features = new Float64Array(3 * d);
  const parts = [meanRow(x, length, d), maximumRow(x, d), meanRow(vectors, length, d)];
  parts.forEach((part, i) => features.set(part, i * d));
  return linear(features, 1, model.head.output);
}

function idsOf(model, words) {                 // ids of at most max_length tokens, with special tokens for cls pooling
  const isFramed = model.shape.pooling === "cls", room = model.max_length - (isFramed ? 2 : 0);
  const ids = words.slice(0, Math.max(1, room)).map(({ word }) => model.vocabulary.get(word) ?? UNKNOWN);
  return isFramed ? [START, ...ids, END] : ids.length ? ids : [PAD];
}
function warningOf(model, text, words) {
  if (!text.match(NOT_SPACE)) return "the text is empty";
  const isKnown = words.some(({ word }) => model.vocabulary.has(word) && !PUNCTUATION.test(word));
  return isKnown ? "" : "the text has no known word";
}
function predict(model, text) {                // { label, scores: log-probabilities (labels,), words, … }
  const words = tokenized(text, model.rule), logits = transformerLogits(model, idsOf(model, words));
  let scores = logSoftmax(logits);
  if (model.ngrams) {
    const [a, b] = model.ngrams.fusion, others = ngramScores(model.ngrams, text, scores.length);
    scores = logSoftmax(scores.map((score, i) => a * score + b * others[i]));
  }
  const best = scores.indexOf(Math.max(...scores));
  return { label: model.labels[best], best, scores, words, warning: warningOf(model, text, words),
           isTruncated: words.length > model.max_length - (model.shape.pooling === "cls" ? 2 : 0) };
}
function logOdds(scores, chosen) {             // of one label against all others
  const others = scores.filter((_, i) => i !== chosen), largest = Math.max(...others);
  return scores[chosen] - largest - Math.log(others.reduce((sum, score) => sum + Math.exp(score - largest), 0));
}
