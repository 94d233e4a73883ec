// An explanation: contributions, provenance, attention, what changes without a word, and similar training examples.

import { chooser, el, newId, percent, signed, table, tint } from "./elements.js";

const MAX_DRAWN = 48; // tokens of a drawn attention matrix
const MADE = /subword|spelling|random|zero/;

const provenance = (source) => (!source || /missing|unknown|none/.test(source) ? "none" : MADE.test(source) ? "made" : "");

function contributions(found, onword) {
  const largest = Math.max(1e-9, ...found.tokens.map((token) => Math.abs(token.contribution ?? 0)));
  const detail = el("p", { class: "soft", "aria-live": "polite" }, "Choose a word for its figures.");
  const { group } = chooser("Words, coloured by their contribution", found.tokens.map((token) => token.token), {
    onchoose: (i) => {
      const token = found.tokens[i];
      const change = found.without_word?.[i]?.token === token.token ? found.without_word[i].probability_change : null;
      detail.textContent = [`${token.token}: contribution ${signed(token.contribution)}`,
        token.source ? `vector: ${token.source}` : null,
        change === null || change === undefined ? null : `without it, the probability changes by ${signed(change)}`,
      ].filter(Boolean).join(" · ");
      onword(token.token);
    },
    paint: (button, i) => {
      const { token, contribution, source } = found.tokens[i];
      button.style.background = tint(contribution < 0 ? "against" : "for", 0.5 * Math.abs(contribution) / largest);
      if (provenance(source)) button.classList.add(provenance(source));
      button.title = `${token} ${signed(contribution)}`;
    },
  });
  return [group,
    el("ul", { class: "legend" },
      el("li", {}, el("span", { class: "swatch", style: { background: tint("for", 0.5) } }), `for ${found.label}`),
      el("li", {}, el("span", { class: "swatch", style: { background: tint("against", 0.5) } }), `against ${found.label}`),
      el("li", { class: "tokens" }, el("span", { class: "made" }, "solid line"), ": composed vector"),
      el("li", { class: "tokens" }, el("span", { class: "none" }, "dotted line"), ": no vector")),
    detail, completeness(found), ngrams(found.ngrams)];
}

function completeness({ completeness: of }) {
  if (!of) return null;
  return el("p", { class: "soft" }, `The contributions sum to ${signed(of.sum)}; the log-odds differ from those of an `
    + `empty text by ${signed(of.difference)} (relative error ${percent(Math.abs(of.relative_error ?? 0))}).`);
}

function ngrams(of) {
  if (!of) return null;
  return el("details", {}, el("summary", {}, `The n-gram branch adds ${signed(of.share)}`),
    table(["n-gram", "contribution"], of.contributions.map((one) => [one.ngram, signed(one.contribution)]), [1]));
}

function attention(found) {
  if (!found.attention?.layers?.length) return null;
  const { tokens, layers } = found.attention;
  const [layerId, headId] = [newId("layer"), newId("head")];
  const option = (kind, i) => el("option", { value: i }, `${kind} ${i + 1}`);
  const layer = el("select", { id: layerId, onchange: show }, layers.map((_, i) => option("Layer", i)));
  const head = el("select", { id: headId, onchange: show }, layers[0].map((_, i) => option("Head", i)));
  const canvas = el("canvas", { role: "img" });
  const note = el("p", { class: "soft", "aria-live": "polite" });
  let from = 0;
  const row = chooser("Words: choose one to see its attention", tokens, { onchoose: (i) => { from = i; show(); } });
  function show() {
    const matrix = layers[Number(layer.value)][Number(head.value)];
    const weights = matrix[from];
    const largest = Math.max(1e-9, ...weights);
    row.buttons.forEach((button, i) => { button.style.background = tint("for", 0.5 * weights[i] / largest); });
    const order = weights.map((weight, i) => [weight, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    note.textContent = `${tokens[from]} attends to ${order.map(([w, i]) => `${tokens[i]} (${percent(w)})`).join(", ")}`;
    if (tokens.length <= MAX_DRAWN) draw(canvas, matrix, tokens);
    canvas.setAttribute("aria-label", `Attention of layer ${Number(layer.value) + 1}, head ${Number(head.value) + 1}: `
      + "rows attend to columns");
  }
  row.choose(0);
  return el("section", { class: "attention" }, el("h3", {}, "Attention"),
    el("div", { class: "row" }, el("label", { for: layerId }, "Layer"), layer, el("label", { for: headId }, "Head"), head),
    el("div", { class: "field" }), row.group, note,
    tokens.length <= MAX_DRAWN ? el("details", {}, el("summary", {}, "Matrix"), el("div", { class: "scroll", tabindex: "0",
      role: "region", "aria-label": "Attention matrix" }, canvas)) : null);
}

function draw(canvas, matrix, tokens) {
  const cell = 18;
  const side = 110;
  const scale = window.devicePixelRatio || 1;
  const size = side + cell * tokens.length;
  canvas.width = canvas.height = size * scale;
  canvas.style.width = canvas.style.height = `${size}px`;
  canvas.style.maxWidth = "none";
  const brush = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  brush.scale(scale, scale);
  brush.font = "12px system-ui, sans-serif";
  brush.fillStyle = style.getPropertyValue("--ink");
  brush.textBaseline = "middle";
  const short = (token) => (token.length > 14 ? `${token.slice(0, 13)}…` : token);
  tokens.forEach((token, i) => {
    const middle = side + cell * (i + 0.5);
    brush.textAlign = "right";
    brush.fillText(short(token), side - 6, middle);
    brush.save();
    brush.translate(middle, side - 6);
    brush.rotate(-Math.PI / 2);
    brush.textAlign = "left";
    brush.fillText(short(token), 0, 0);
    brush.restore();
  });
  matrix.forEach((row, i) => row.forEach((weight, j) => {
    brush.fillStyle = `rgba(${style.getPropertyValue("--for")}, ${Math.min(1, 0.04 + weight).toFixed(3)})`;
    brush.fillRect(side + cell * j, side + cell * i, cell - 1, cell - 1);
  }));
}

function withoutWord(found) {
  const rows = [...(found.without_word ?? [])].sort((a, b) => Math.abs(b.probability_change) - Math.abs(a.probability_change));
  if (!rows.length) return null;
  return el("details", {}, el("summary", {}, "Without a word"), el("p", { class: "soft" },
    `Change of the probability of ${found.label} when the word is left out.`),
  table(["word", "change"], rows.slice(0, 20).map((one) => [one.token, signed(one.probability_change)]), [1]));
}

function similar(found) {
  if (!found.neighbours?.length) return null;
  return el("details", {}, el("summary", {}, "Similar training examples"), table(["text", "label", "similarity"],
    found.neighbours.map((one) => [one.text, one.label, one.similarity.toFixed(3)]), [2]));
}

function sources(found) {
  const counts = new Map();
  for (const token of found.tokens) counts.set(token.source ?? "", [...(counts.get(token.source ?? "") ?? []), token.token]);
  if (![...counts.keys()].some(Boolean)) return null;
  return el("details", {}, el("summary", {}, "Where the vectors come from"), table(["provenance", "words"],
    [...counts].map(([source, words]) => [source || "–", [...new Set(words)].join(" ")])));
}

export function explanationOf(found, onword) {
  return el("div", { class: "explanation" }, el("h3", {}, `Why ${found.label ?? "this answer"}`),
    ...contributions(found, onword), attention(found), withoutWord(found), similar(found), sources(found));
}
