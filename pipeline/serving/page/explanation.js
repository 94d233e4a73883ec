// An explanation: contributions, provenance, attention, what changes without a word, and similar training examples.

import { characters, chooser, el, newId, percent, signed, table, tint } from "./elements.js";

const MAX_DRAWN = 48; // tokens of a drawn attention matrix
const STRONGEST = 0.5; // opacity of the strongest colour, on which the text can still be read
const COMPOSED = /subword|spelling|folded|digits|words|mixed/;
const NONE = /missing|zero|random/;
const lineUnder = (source) => (NONE.test(source) ? "none" : COMPOSED.test(source) ? "composed" : "");

const shareOf = (token) => token.total ?? token.contribution;
const subject = (found) => (found.unit === "value" ? "the value"
  : found.task === "question-answering" ? `this ${found.label}` : found.label);

// The words of one part in their text, with the characters between them.
function inText(text, tokens, chosen) {
  const parts = characters(text);
  const made = [];
  let at = 0;
  for (const [token, button] of tokens.map((one, i) => [one, chosen[i]])) {
    made.push(parts.slice(at, token.start).join(""), button);
    at = token.end;
  }
  made.push(parts.slice(at).join(""));
  return el("p", { class: "text tokens" }, ...made);
}

function contributions(found, onword) {
  const largest = Math.max(1e-9, ...found.tokens.map((token) => Math.abs(shareOf(token))));
  const changes = new Map((found.without_word ?? []).map((one) => [`${one.part}:${one.start}`, one]));
  const detail = el("p", { class: "soft detail", "aria-live": "polite" }, "Select a word for details.");
  const { group, buttons } = chooser("Words, coloured by their contribution", found.tokens.map((token) => token.token), {
    onchoose: (i) => {
      const token = found.tokens[i];
      const change = changes.get(`${token.part}:${token.start}`);
      const scale = found.unit === "value" ? "the value" : "the probability";
      detail.replaceChildren(el("b", {}, token.token), [
        ` contributes ${signed(shareOf(token))}`,
        token.from_ngrams ? ` (${signed(token.from_ngrams)} by n-grams)` : "",
        ` · vector: ${token.source}${token.in_training === false ? ", not in the training text" : ""}`,
        change ? ` · without it, ${scale} changes by ${signed(change.probability_change)}` : "",
        change?.replaced_by ? `; with “${change.replaced_by}” instead, by ${signed(change.replaced_change)}` : "",
      ].join(""));
      onword(token.token);
    },
    paint: (button, i) => {
      const token = found.tokens[i];
      const share = shareOf(token);
      button.style.background = tint(share < 0 ? "against" : "for", STRONGEST * Math.abs(share) / largest);
      if (lineUnder(token.source)) button.classList.add(lineUnder(token.source));
      button.title = signed(share);
    },
  });
  const of = (part) => found.tokens.map((token, i) => [token, buttons[i]]).filter(([token]) => token.part === part);
  group.replaceChildren(...["text", "context"].filter((part) => of(part).length).map((part) => inText(found[part],
    of(part).map(([token]) => token), of(part).map(([, button]) => button))));
  const used = new Set(found.tokens.map((token) => lineUnder(token.source)));
  return [group,
    el("ul", { class: "legend" },
      el("li", {}, el("span", { class: "swatch", style: { background: tint("for", STRONGEST) } }), `for ${subject(found)}`),
      el("li", {}, el("span", { class: "swatch", style: { background: tint("against", STRONGEST) } }),
        `against ${subject(found)}`),
      used.has("composed") ? el("li", {}, el("span", { class: "composed" }, "solid line"), " composed vector") : null,
      used.has("none") ? el("li", {}, el("span", { class: "none" }, "dotted line"), " no pretrained vector") : null),
    detail, completeness(found), ngrams(found.ngrams)];
}

function completeness({ completeness: of, unit }) {
  if (!of) return null;
  return el("p", { class: "soft" }, `All contributions sum to ${signed(of.sum)}. The ${unit ?? "log-odds"} of this text `
    + `and those of unknown words differ by ${signed(of.difference)}; relative error `
    + `${percent(Math.abs(of.relative_error ?? 0), 2)}.`);
}

function ngrams(of) {
  if (!of?.contributions?.length) return null;
  return el("details", {}, el("summary", {}, `N-grams: ${percent(of.share, 0)} of the absolute contributions`),
    table(["n-gram", "kind", "contribution"], of.contributions.map((one) => [one.ngram, one.family ?? "",
      signed(one.contribution)]), [2]));
}

function attention(found) {
  if (!found.attention?.layers?.length) return null;
  const { tokens, layers } = found.attention;
  const [layerId, headId] = [newId("layer"), newId("head")];
  const option = (kind, i) => el("option", { value: i }, `${kind} ${i + 1}`);
  const layer = el("select", { id: layerId, class: "layer", onchange: show }, layers.map((_, i) => option("Layer", i)));
  const head = el("select", { id: headId, class: "which-head", onchange: show }, layers[0].map((_, i) => option("Head", i)));
  const canvas = el("canvas", { role: "img" });
  const note = el("p", { class: "soft detail", "aria-live": "polite" });
  let from = Math.max(0, tokens.findIndex((token) => !token.startsWith("<")));
  const row = chooser("Words: select one to see its attention", tokens, { onchoose: (i) => { from = i; show(); } });
  row.group.classList.add("apart");
  function show() {
    const matrix = layers[Number(layer.value)][Number(head.value)];
    const weights = matrix[from];
    const largest = Math.max(1e-9, ...weights);
    row.buttons.forEach((button, i) => {
      button.style.background = tint("for", STRONGEST * weights[i] / largest);
      button.title = percent(weights[i]);
    });
    const order = weights.map((weight, i) => [weight, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
    note.replaceChildren(el("b", {}, tokens[from]), ` attends to ${order.map(([weight, i]) =>
      `${tokens[i]} (${percent(weight, 0)})`).join(", ")}`);
    if (tokens.length <= MAX_DRAWN) draw(canvas, matrix, tokens);
    canvas.setAttribute("aria-label", `Attention of layer ${Number(layer.value) + 1}, head ${Number(head.value) + 1}: `
      + "the word of each row attends to the words of the columns");
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  new MutationObserver(show).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  row.choose(from);
  return el("section", { class: "attention" }, el("div", { class: "head" }, el("h3", {}, "Attention"),
    el("div", { class: "row" }, el("label", { for: layerId, class: "hidden-text" }, "Layer"), layer,
      el("label", { for: headId, class: "hidden-text" }, "Head"), head)),
  row.group, note,
  tokens.length <= MAX_DRAWN ? el("div", { class: "scroll", tabindex: "0", role: "group",
    "aria-label": "Attention matrix" }, canvas) : null);
}

function draw(canvas, matrix, tokens) {
  const scale = window.devicePixelRatio || 1;
  const cell = tokens.length > 24 ? 14 : 20;
  const style = getComputedStyle(document.documentElement);
  const brush = canvas.getContext("2d");
  const font = `${cell > 14 ? 13 : 11}px system-ui, sans-serif`;
  const short = (token) => (characters(token).length > 16 ? `${characters(token).slice(0, 15).join("")}…` : token);
  brush.font = font;
  const side = Math.ceil(Math.max(...tokens.map((token) => brush.measureText(short(token)).width))) + 10;
  const size = side + cell * tokens.length;
  canvas.width = canvas.height = size * scale;
  canvas.style.width = canvas.style.height = `${size}px`;
  brush.scale(scale, scale);
  brush.font = font;
  brush.fillStyle = style.getPropertyValue("--ink");
  brush.textBaseline = "middle";
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
    brush.fillStyle = `rgba(${style.getPropertyValue("--for")}, ${Math.min(1, 0.05 + 0.95 * weight).toFixed(3)})`;
    brush.fillRect(side + cell * j, side + cell * i, cell - 1, cell - 1);
  }));
}

function changed(found) {
  const size = (one) => Math.abs(one.probability_change);
  const rows = [...(found.without_word ?? [])].sort((a, b) => size(b) - size(a)).slice(0, 20);
  if (!rows.length) return null;
  const replaced = rows.some((one) => one.replaced_by);
  return el("details", {}, el("summary", {}, "Words left out or replaced"),
    el("p", { class: "soft" }, `Change of the ${found.unit === "value" ? "value" : `probability of ${found.label}`}.`),
    table(["word", "left out", ...(replaced ? ["replaced by", "change"] : [])], rows.map((one) => [one.token,
      signed(one.probability_change), ...(replaced ? [one.replaced_by ?? "–",
        one.replaced_by ? signed(one.replaced_change) : ""] : [])]), replaced ? [1, 3] : [1]));
}

function similar(found) {
  if (!found.neighbours?.length) return null;
  return el("details", {}, el("summary", {}, "Similar training examples"), table(["text", "label", "similarity"],
    found.neighbours.map((one) => [[one.text, one.context].filter(Boolean).join(" — "), one.label,
      one.similarity.toFixed(3)]), [2]), found.neighbours_note ? el("p", { class: "soft" }, found.neighbours_note) : null);
}

function sources(found) {
  const words = new Map();
  for (const token of found.tokens) words.set(token.source, (words.get(token.source) ?? new Set()).add(token.token));
  return el("details", {}, el("summary", {}, "Where the vectors come from"),
    found.vectors?.source ? el("p", { class: "soft" }, `Table: ${found.vectors.source}`) : null,
    table(["provenance", "words"], [...words].map(([source, of]) => [source, [...of].join(" ")])));
}

// The heading, with a choice of the target: a label, the start or end of an answer, or the word that is tagged.
function heading(found, again) {
  const id = newId("explained");
  const select = (options, chosen, ask) => el("select", { id, class: "explained", onchange: (event) =>
    again(ask(event.target.value)) }, options.map(([value, name]) => el("option", { value, selected: value === chosen }, name)));
  const title = (text, ...more) => el("div", { class: "head choice" }, el("h3", {}, text), ...more);
  const name = (text) => el("label", { for: id, class: "hidden-text" }, text);
  if (found.unit === "value") return title("Why this value");
  if (found.task === "question-answering") {
    return title(`Why the answer ${found.label}s with “${found.word}”`, name("Part of the answer to explain"),
      select([["start", "Start"], ["end", "End"]], found.label, (label) => ({ label })));
  }
  if (found.word) {
    const words = found.tokens.map((token, i) => [String(i), token.token]);
    return title(`Why “${found.word}” is tagged ${found.label}`, name("Word to explain"),
      select([["", "Another word …"], ...words], "", (word) => ({ word: Number(word) })));
  }
  const labels = Object.keys(found.probabilities ?? {}).map((label) => [label, label]);
  return title(`Why ${found.label}`, name("Label to explain"), select(labels, found.label, (label) => ({ label })));
}

export function explanationOf(found, onword, again) {
  return el("div", { class: "explanation" }, heading(found, again), ...contributions(found, onword),
    ...(found.notes ?? []).map((note) => el("p", { class: "warning" }, note)), attention(found), changed(found),
    similar(found), sources(found));
}
