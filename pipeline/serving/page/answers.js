// The answer of each task, as elements.

import { bars, characters, el, percent, table } from "./elements.js";

const round = (value) => (value === null || value === undefined ? "–" : Number(value.toPrecision(4)).toString());
const answer = (text, ...more) => el("p", { class: "answer" }, text, ...more.map((part) => el("small", {}, ` ${part}`)));

function classification(prediction) {
  const { label, probabilities } = prediction;
  return [answer(label, percent(probabilities[label])), ...bars(Object.entries(probabilities), { best: label })];
}

function multiLabel(prediction) {
  const { labels, probabilities } = prediction;
  return [answer(labels.length ? labels.join(", ") : "no label"),
    ...bars(Object.entries(probabilities), { best: new Set(labels) })];
}

function question(prediction, text, context) {
  const said = prediction.answer ? answer(prediction.answer, percent(prediction.probability)) : answer("no answer");
  const parts = characters(context);
  const { start, end } = prediction;
  const shown = start === null || start === undefined ? [context]
    : [parts.slice(0, start).join(""), el("mark", {}, parts.slice(start, end).join("")), parts.slice(end).join("")];
  const others = prediction.candidates ?? [];
  return [said, el("p", { class: "text" }, ...shown), others.length > 1 ? el("details", {},
    el("summary", {}, `${others.length} best spans`),
    table(["span", "probability"], others.map((one) => [one.answer, percent(one.probability)]), [1])) : null];
}

export const kindClass = (kinds, kind) => `c${kinds.indexOf(kind) % 6}`;

function tagging(prediction, text) {
  const entities = prediction.entities ?? [];
  if (!entities.length && prediction.tags.some((tag) => tag !== "O")) {
    const kinds = [...new Set(prediction.tags)].sort();
    return [el("p", { class: "text" }, prediction.words.map((word, i) => [el("span",
      { class: `entity ${kindClass(kinds, prediction.tags[i])}` }, word, el("b", {}, prediction.tags[i])), " "]))];
  }
  const kinds = [...new Set(entities.map((entity) => entity.type))].sort();
  const parts = characters(text);
  const shown = [];
  let at = 0;
  for (const entity of entities) {
    shown.push(parts.slice(at, entity.start).join(""), el("span", { class: `entity ${kindClass(kinds, entity.type)}` },
      parts.slice(entity.start, entity.end).join(""), el("b", {}, entity.type)));
    at = entity.end;
  }
  shown.push(parts.slice(at).join(""));
  return [answer(entities.length === 1 ? "1 entity" : `${entities.length || "no"} entities`),
    el("p", { class: "text" }, ...shown)];
}

function masked(prediction, text) {
  if (!prediction.guesses.length) return [el("p", {}, "Write <mask> in place of a word to predict it.")];
  return prediction.guesses.map((guesses, i) => el("section", {}, el("h3", {}, `Mask ${i + 1}`),
    ...bars(Object.entries(guesses), { best: Object.keys(guesses)[0] })));
}

function languageModel(prediction) {
  const perplexity = prediction.log_probability === null ? null : Math.exp(-prediction.log_probability / prediction.n);
  return [answer(`perplexity ${round(perplexity)}`, `${prediction.n} tokens`),
    el("p", { class: "soft" }, "Lower is better: the number of equally probable tokens with the same uncertainty.")];
}

const VIEWS = {
  classification, "multi-label": multiLabel, "question-answering": question, tagging,
  "masked-language-model": masked, "language-model": languageModel,
  regression: (prediction) => [answer(round(prediction.value))],
  translation: (prediction) => [answer(prediction.translation || "no words")],
};

function other(prediction) {
  return [table(["key", "value"], Object.entries(prediction).map(([key, value]) => [key,
    typeof value === "string" ? value : JSON.stringify(value)]))];
}

export function answerOf(task, prediction, text, context) {
  const view = VIEWS[task] ?? other;
  return el("div", { class: "prediction" }, ...view(prediction, text, context),
    prediction.warning ? el("p", { class: "warning" }, `The prediction does not depend on the words: ${prediction.warning}.`)
      : null);
}
