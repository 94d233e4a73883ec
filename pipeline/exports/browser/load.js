// The model from the data of the page: one block of JSON, and one block of compressed numbers in base64.

const ARRAYS = { int8: Int8Array, int16: Int16Array, uint8: Uint8Array, float32: Float32Array };

async function inflated(text) {                // ArrayBuffer
  const characters = atob(text), bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}
function unpacked(index, buffer) {             // array and shape of each name
  return new Map(index.map(({ name, type, shape, at }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return [name, { shape, values: new ARRAYS[type](buffer, at, size) }];
  }));
}
function weightsOf(arrays) {                   // { layers: { 0: { attention: { query: { weight: { shape, values }}}}}}
  const found = {};
  for (const [name, { shape, values }] of arrays) {
    if (!name.startsWith("model.") || name.endsWith(".scales")) continue;
    const scales = arrays.get(`${name}.scales`)?.values, columns = shape.at(-1);
    const numbers = scales ? Float64Array.from(values, (value, i) => value * scales[Math.floor(i / columns)])
      : Float64Array.from(values);
    const path = name.split(".").slice(1), last = path.pop();
    path.reduce((parts, part) => parts[part] ??= {}, found)[last] = { shape, values: numbers };
  }
  return found;
}
function decodedNumbers(bytes) {               // ascending numbers from gaps of 7 bits a byte, the lowest first
  const numbers = [];
  let number = 0, gap = 0, shift = 0;
  for (const byte of bytes) {
    gap |= (byte & 127) << shift;
    shift += 7;
    if (byte < 128) { numbers.push(number += gap); gap = shift = 0; }
  }
  return numbers;
}
function ngramsOf(described, arrays) {
  const of = name => arrays.get(`ngrams.${name}`).values, codes = of("idf_codes"), levels = of("idf_levels");
  const rowOf = new Int32Array(described.buckets);             // row of a bucket plus 1; those with weights are first
  [...decodedNumbers(of("kept")), ...decodedNumbers(of("others"))].forEach((bucket, i) => { rowOf[bucket] = i + 1; });
  const integers = of("weights"), largest = integers instanceof Int16Array ? 32767 : 127;
  const weights = Float32Array.from(integers, code => Math.sign(code) * (code / largest) ** 2);
  return { ...described, rowOf, weights, scales: of("scales"), bias: of("bias"),
           idf: row => levels[codes[row]] };
}
async function loadModel(data, packed) {
  const arrays = unpacked(data.arrays, await inflated(packed)), weights = weightsOf(arrays);
  const rows = arrays.get("embedding"), scales = arrays.get("embedding.scales").values;
  return {
    ...data, ...weights, layers: Object.values(weights.layers),
    vocabulary: new Map(data.words.map((word, i) => [word, N_SPECIAL + i])),
    embedding: { ...weights.embedding, rows: { ...rows, scales } },
    convolutions: weights.convolutions && {
      ...weights.convolutions, filters: Object.values(weights.convolutions.filters) },
    ngrams: data.ngrams && ngramsOf(data.ngrams, arrays),
  };
}
