// The page: forms, requests, results.

import { Failure, get, post, setToken, stream } from "./api.js";
import { answerOf } from "./answers.js";
import { characters, el, find, table } from "./elements.js";
import { explanationOf } from "./explanation.js";

let runs = [];
let limits = {};
let writing = null; // the AbortController of a generation

const chosen = () => {
  const named = [find("run").value, find("other").value].filter(Boolean);
  return [...new Set(named)].map((name) => runs.find((run) => run.name === name));
};

function problem(message) {
  find("problem").hidden = !message;
  find("problem").textContent = message;
  if (message) find("status").textContent = "";
}

async function start() {
  try {
    const found = await get("/runs");
    runs = found.runs;
    limits = found.limits;
  } catch (error) {
    find("token-form").hidden = error.status !== 401;
    if (error.status === 401) find("token").focus();
    else find("results").replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
    return;
  }
  find("token-form").hidden = true;
  find("ask").hidden = false;
  find("run").replaceChildren(...runs.map((run) => el("option", { value: run.name }, run.name)));
  find("other").replaceChildren(el("option", { value: "" }, "no other run"),
    ...runs.map((run) => el("option", { value: run.name }, run.name)));
  find("other").hidden = find("other-label").hidden = runs.length < 2;
  describe();
  find("text").focus();
}

function describe() {
  const [run, other] = chosen();
  const [text, context] = [run, other].filter(Boolean).map((one) => one.inputs).sort((a, b) => b.length - a.length)[0];
  const title = (name) => name[0].toUpperCase() + name.slice(1);
  find("text-label").textContent = run.generates ? "Text or beginning of a text" : title(text ?? "text");
  find("context-field").hidden = !context;
  find("context-label").textContent = context ? title(context) : "";
  find("about").textContent = [run.task, run.source, run.labels.length ? `${run.labels.length} labels` : "",
    `${run.layers} layers of ${run.heads} heads`, `up to ${run.max_length} tokens`].filter(Boolean).join(" · ");
  find("generation").hidden = find("continue").hidden = !chosen().some((one) => one.generates);
  find("predict").textContent = chosen().every((one) => one.generates) ? "Perplexity" : "Predict";
  find("explain").hidden = !chosen().some((one) => one.explains && !one.generates);
  find("neighbours-card").hidden = false;
}

function card(run) {
  const body = el("div", {}, el("p", { class: "soft busy" }, "Computing …"));
  const made = el("section", { class: "card", "aria-label": `Answer of ${run.name}` },
    el("div", { class: "head" }, el("h2", {}, run.name), el("span", { class: "soft" }, run.task)), body);
  return { made, body };
}

function inputs() {
  const text = find("text").value;
  const context = find("context-field").hidden ? "" : find("context").value;
  const field = !text.trim() ? "text" : context.trim() || !chosen().some((run) => run.context_required) ? "" : "context";
  if (field) {
    const label = find(`${field}-label`).textContent.toLowerCase();
    problem(`Enter a ${label}.`);
    find(field).focus();
    return null;
  }
  if (characters(text).length > limits.max_characters || characters(context).length > limits.max_characters) {
    problem(`The text has more than ${limits.max_characters.toLocaleString("en")} characters; shorten it.`);
    return null;
  }
  problem("");
  return { text, context };
}

const contextFor = (run, context) => (run.inputs.length > 1 ? context : "");

// Send the request to all chosen runs, and show each answer in a separate card.
async function answerAll(fill) {
  const given = inputs();
  if (!given) return;
  const cards = chosen().map((run) => ({ run, ...card(run) }));
  find("predict").disabled = find("explain").disabled = true;
  find("status").textContent = "Computing …";
  show(cards);
  const filled = await Promise.allSettled(cards.map(({ run, body }) => fill(run, given.text,
    contextFor(run, given.context), body)));
  find("predict").disabled = find("explain").disabled = false;
  const failed = filled.map((one, i) => (one.status === "rejected" ? `${cards[i].run.name}: ${one.reason.message}` : ""));
  if (failed.some(Boolean)) problem(failed.filter(Boolean).join("\n"));
  cards.forEach(({ made, body }) => (body.childElementCount > 1 ? body.querySelector(".busy")?.remove() : made.remove()));
  find("status").textContent = cards.map(({ run, body }) => `${run.name}: ${body.querySelector(".answer")?.textContent
    ?? "no answer"}`).join("; ");
}

function show(cards) {
  find("results").classList.toggle("two", cards.length > 1);
  find("results").replaceChildren(...cards.map((one) => one.made));
}

async function predictInto(run, text, context, body) {
  const { predictions } = await post("/predict", { run: run.name, texts: [context ? { text, context } : text] });
  body.prepend(answerOf(run.task, predictions[0], text, context));
}

async function explainInto(run, text, context, body) {
  const ask = (options) => post("/explain", { run: run.name, text, ...(context ? { context } : {}), ...options });
  const show = (found) => explanationOf(found, (word) => { find("word").value = word; neighbours(); }, again);
  let shown = null;
  async function again(options) {
    problem("");
    try {
      const next = show(await ask(options));
      shown.replaceWith(next);
      shown = next;
      shown.querySelector("select.explained")?.focus();
    } catch (error) {
      problem(`${run.name}: ${error.message}`);
    }
  }
  const [, found] = await Promise.all([predictInto(run, text, context, body), ask({})]);
  shown = show(found);
  body.append(shown);
}

async function generateInto(run, text, body) {
  const output = el("p", { class: "text writing", role: "log", "aria-label": "Generated text" }, text);
  const end = el("p", { class: "soft" });
  body.replaceChildren(output, end);
  let written = "";
  const options = { max_tokens: Number(find("max-tokens").value), temperature: Number(find("temperature").value),
    seed: Number(find("seed").value) };
  try {
    for await (const part of stream("/generate", { run: run.name, prompt: text, ...options }, writing.signal)) {
      if (part.error) throw new Failure(part.error, 200);
      if (part.done) end.textContent = `log-probability ${part.log_probability?.toFixed(2) ?? "–"}`;
      written = part.done ? part.text : written + part.text;
      output.replaceChildren(el("b", {}, text), written.slice(text.length));
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    end.textContent = "stopped";
  } finally {
    output.classList.remove("writing");
  }
}

async function continueText() {
  problem("");
  writing?.abort();
  writing = new AbortController();
  const cards = chosen().filter((run) => run.generates).map((run) => ({ run, ...card(run) }));
  show(cards);
  find("stop").hidden = false;
  const filled = await Promise.allSettled(cards.map(({ run, body }) => generateInto(run, find("text").value, body)));
  find("stop").hidden = true;
  const failed = filled.filter((one) => one.status === "rejected");
  if (failed.length) problem(failed.map((one) => one.reason.message).join("\n"));
}

async function neighbours() {
  const word = find("word").value.trim();
  if (!word) return;
  const found = await Promise.all(chosen().map((run) => post("/neighbours", { run: run.name, word, n: 8 })
    .catch((error) => ({ run: run.name, word, error: error.message }))));
  find("neighbours").replaceChildren(...found.flatMap((one) => {
    if (one.error || !one.known) return [el("p", {}, `${one.run}: ${one.error ?? `“${one.word}” is not in the training text.`}`)];
    const before = new Set(one.before.map((near) => near.word));
    const list = (title, words, mark) => el("div", {}, el("h4", {}, title), el("ol", { class: "words" },
      words.map((near) => el("li", {}, el("span", { class: mark && !before.has(near.word) ? "new" : undefined }, near.word),
        el("span", { class: "number" }, near.similarity.toFixed(3))))));
    return [el("h3", {}, `${one.word} · ${one.run}`), el("div", { class: "pair" }, list("Before training", one.before, false),
      list("After training (new ones bold)", one.after, true))];
  }));
}

const THEMES = { auto: ["Auto", "Colours: system default"],
  light: ["Light", "Colours: light"], dark: ["Dark", "Colours: dark"] };

function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  [find("theme").textContent] = THEMES[name];
  find("theme").setAttribute("aria-label", THEMES[name][1]);
  localStorage.setItem("vecformer-theme", name);
}

find("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(localStorage.getItem("vecformer-theme") ?? "auto") + 1) % names.length]);
});
find("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(find("token").value);
  start();
});
find("ask").addEventListener("submit", (event) => { event.preventDefault(); answerAll(predictInto); });
find("ask").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  answerAll(predictInto);
});
find("explain").addEventListener("click", () => answerAll(explainInto));
find("continue").addEventListener("click", continueText);
find("stop").addEventListener("click", () => writing?.abort());
find("neighbours-form").addEventListener("submit", (event) => { event.preventDefault(); neighbours(); });
for (const id of ["run", "other"]) find(id).addEventListener("change", () => {
  describe();
  problem("");
  find("results").replaceChildren();
  find("neighbours").replaceChildren();
});
setTheme(THEMES[localStorage.getItem("vecformer-theme")] ? localStorage.getItem("vecformer-theme") : "auto");
start();
