// The page: texts and labels are inserted as text, never as markup.

const N_LABELS = 10, N_STRONGEST = 8, N_UNKNOWN = 10, STRONG = 0.25, OPACITY = 0.45;
const byId = id => document.getElementById(id);
const percent = probability => `${(100 * probability).toFixed(1)} %`;
const signed = number => `${number < 0 ? "\u2212" : "+"}${Math.abs(number).toFixed(2)}`;
const nextFrame = () => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));  // after painting
const shown = { text: "", prediction: null, chosen: 0, groups: [], number: 0 };  // number of the request

function element(name, classes, text = "") {
  return Object.assign(document.createElement(name), { className: classes, textContent: text });
}
function showLabels() {
  const { prediction, chosen } = shown, labels = model.labels;
  const order = [...labels.keys()].sort((a, b) => prediction.scores[b] - prediction.scores[a]);
  const rows = order.slice(0, N_LABELS).map(i => {
    const row = element("button", ""), track = element("span", "track"), bar = element("span", "bar");
    const probability = Math.exp(prediction.scores[i]);
    bar.style.width = `${100 * probability}%`;
    track.append(bar);
    row.append(element("span", "name", labels[i]), track, element("span", "share", percent(probability)));
    row.setAttribute("aria-pressed", String(i === chosen));
    row.addEventListener("click", () => choose(i));
    const item = element("li", "");
    item.append(row);
    return item;
  });
  byId("labels").replaceChildren(...rows);
  const others = order.slice(N_LABELS), rest = others.reduce((sum, i) => sum + Math.exp(prediction.scores[i]), 0);
  byId("rest").textContent = others.length ? `${others.length} other labels: ${percent(rest)}` : "";
}
function choose(label) {                       // show the contributions to another label
  const position = [...byId("labels").querySelectorAll("button")].indexOf(document.activeElement);
  shown.chosen = label;
  showLabels();
  showContributions();
  byId("labels").querySelectorAll("button")[position]?.focus();
}
function showStatus({ label, best, scores, warning, isTruncated }) {
  const status = byId("status"), probability = percent(Math.exp(scores[best]));
  status.replaceChildren(element("b", "", label), ` with a probability of ${probability}`);
  const notes = [warning && `Warning: ${warning}.`,
                 isTruncated && `The Transformer only reads the first ${model.max_length} words of this text.`];
  byId("warning").textContent = notes.filter(Boolean).join(" ");
  byId("warning").hidden = !byId("warning").textContent;
}
function showContributions() {
  const { text, prediction, chosen, groups } = shown, done = groups.filter(group => group.scores);
  for (const group of done) group.value = contribution(prediction.scores, group.scores, chosen);
  const largest = Math.max(1e-9, ...done.map(group => Math.abs(group.value)));
  const parts = [];
  let at = 0;
  for (const group of groups) {
    parts.push(text.slice(at, group.start), coloured(text.slice(group.start, group.end), group, largest));
    at = group.end;
  }
  byId("colours").replaceChildren(...parts, text.slice(at));
  byId("chosen").textContent = model.labels[chosen];
  showStrongest(done, text);
  showUnknown(prediction.words, text);
  byId("progress").textContent = done.length < groups.length ? `${done.length} of ${groups.length} parts computed …`
    : groups.length ? "" : "The text has no words.";
}
function coloured(words, { value }, largest) {
  const share = value === undefined ? 0 : Math.abs(value) / largest, side = value < 0 ? "against" : "for";
  const part = element("span", share > STRONG ? `${side} strong` : side, words);
  if (share) part.style.backgroundColor = `rgb(var(--${side}) / ${(OPACITY * share).toFixed(3)})`;
  if (value !== undefined) part.title = signed(value);
  return part;
}
function showStrongest(groups, text) {
  const strongest = [...groups].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, N_STRONGEST);
  byId("strongest").tBodies[0].replaceChildren(...strongest.map(({ start, end, value }) => {
    const row = element("tr", "");
    row.append(element("td", "", text.slice(start, end)), element("td", "", signed(value)));
    return row;
  }));
  byId("strongest").hidden = !strongest.length;
}
function showUnknown(words, text) {            // words without a vector; the n-grams may have them
  const without = words.filter(({ word }) => !model.vocabulary.has(word));
  const unknown = new Set(without.map(({ start, end }) => text.slice(start, end)));
  const named = [...unknown].slice(0, N_UNKNOWN), more = unknown.size - named.length;
  byId("unknown").textContent = unknown.size
    ? `Words without a vector: ${named.join(", ")}${more ? ` and ${more} more` : ""}.` : "";
}
async function classify() {
  const text = byId("text").value, number = ++shown.number;
  const prediction = predict(model, text);
  Object.assign(shown, { text, prediction, chosen: prediction.best, groups: groupsOf(prediction.words) });
  showStatus(prediction);
  showLabels();
  showContributions();
  byId("answer").hidden = false;
  for (const group of shown.groups) {          // one prediction at a time, so that the page reacts in between
    await nextFrame();
    if (number !== shown.number) return;
    group.scores = scoresWithout(model, text, group);
    showContributions();
  }
}
function clear() {
  shown.number++;
  byId("text").value = "";
  byId("answer").hidden = true;
  byId("status").textContent = "";
  byId("text").focus();
}
let model = null;
async function start() {
  model = await loadModel(JSON.parse(byId("model").textContent), byId("weights").textContent);
  byId("form").addEventListener("submit", event => { event.preventDefault(); classify(); });
  byId("clear").addEventListener("click", clear);
  byId("text").addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); classify(); }
  });
  byId("classify").disabled = false;
  byId("status").textContent = "";
}
start();
