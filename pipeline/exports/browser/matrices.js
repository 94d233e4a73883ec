// Matrices are flat arrays of float64, row by row. Shapes are in comments: L tokens, d = d_model.

function product(x, n, y, m, k, out = new Float64Array(n * m), bias = null) {  // x (n, k) times y (m, k) transposed
  for (let i = 0; i < n; i += 4) {             // four rows and two columns at once; the last ones may repeat
    const x0 = i * k, x1 = Math.min(i + 1, n - 1) * k, x2 = Math.min(i + 2, n - 1) * k, x3 = Math.min(i + 3, n - 1) * k;
    for (let j = 0; j < m; j += 2) {
      const second = Math.min(j + 1, m - 1), y0 = j * k, y1 = second * k;
      let a0 = 0, a1 = 0, b0 = 0, b1 = 0, c0 = 0, c1 = 0, d0 = 0, d1 = 0;
      for (let l = 0; l < k; l++) {
        const u = y[y0 + l], v = y[y1 + l], a = x[x0 + l], b = x[x1 + l], c = x[x2 + l], d = x[x3 + l];
        a0 += a * u; a1 += a * v; b0 += b * u; b1 += b * v; c0 += c * u; c1 += c * v; d0 += d * u; d1 += d * v;
      }
      const u = bias ? bias[j] : 0, v = bias ? bias[second] : 0;
      const o0 = i * m, o1 = x1 / k * m, o2 = x2 / k * m, o3 = x3 / k * m;
      out[o0 + j] = a0 + u; out[o0 + second] = a1 + v;
      out[o1 + j] = b0 + u; out[o1 + second] = b1 + v;
      out[o2 + j] = c0 + u; out[o2 + second] = c1 + v;
      out[o3 + j] = d0 + u; out[o3 + second] = d1 + v;
    }
  }
  return out;
}
function linear(x, length, { weight, bias }) { // x (L, k), weight (m, k), bias (m,) or none: (L, m)
  const [m, k] = weight.shape;
  return product(x, length, weight.values, m, k, undefined, bias?.values);
}
function add(x, y) {                           // in place
  for (let i = 0; i < x.length; i++) x[i] += y[i];
  return x;
}
function layerNorm(x, length, { weight, bias }, eps) {  // (L, d) to (L, d)
  const d = x.length / length, out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i += d) {
    let mean = 0, variance = 0;
    for (let j = 0; j < d; j++) mean += x[i + j] / d;
    for (let j = 0; j < d; j++) variance += (x[i + j] - mean) ** 2 / d;
    const factor = 1 / Math.sqrt(variance + eps);
    for (let j = 0; j < d; j++) out[i + j] = (x[i + j] - mean) * factor * weight.values[j] + bias.values[j];
  }
  return out;
}
function softmaxRows(x, n, m) {                // in place: each of the n rows of (n, m)
  for (let i = 0; i < n * m; i += m) {
    let largest = -Infinity, sum = 0;
    for (let j = 0; j < m; j++) largest = Math.max(largest, x[i + j]);
    for (let j = 0; j < m; j++) sum += x[i + j] = Math.exp(x[i + j] - largest);
    for (let j = 0; j < m; j++) x[i + j] /= sum;
  }
  return x;
}
function logSoftmax(x) {                       // (n,)
  const largest = Math.max(...x), total = x.reduce((sum, value) => sum + Math.exp(value - largest), 0);
  return x.map(value => value - largest - Math.log(total));
}
function erf(x) {                              // error below 1.2e-7 (Press et al. 2007, "Numerical Recipes", 6.2.2)
  const t = 2 / (2 + Math.abs(x));
  const series = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (
    0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  const rest = t * Math.exp(-x * x + series);
  return x < 0 ? rest - 1 : 1 - rest;
}
const gelu = x => x / 2 * (1 + erf(x * Math.SQRT1_2)), silu = x => x / (1 + Math.exp(-x));
const ACTIVATIONS = {
  gelu, "gelu-tanh": x => x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu: x => Math.max(0, x), swiglu: silu,
};
