// Elements of the page. Texts are only ever inserted as text, never as HTML.

export const find = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "style") for (const [key, of] of Object.entries(value)) made.style.setProperty(key, of);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
export const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);

// Offsets of the API count characters; those of JavaScript count UTF-16 units.
export const characters = (text) => Array.from(text);

let number = 0;
export const newId = (prefix) => `${prefix}-${++number}`;

export function bars(entries, { best = null, limit = 10 } = {}) {
  const rows = [...entries].sort((a, b) => b[1] - a[1]);
  const list = (some) => el("ul", { class: "bars" }, some.map(([name, share]) => el("li",
    { class: (best instanceof Set ? best.has(name) : name === best) ? "best" : "" },
    el("span", { class: "name" }, name),
    el("span", { class: "track", "aria-hidden": "true" },
      el("span", { class: "fill", style: { width: `${Math.max(0, Math.min(1, share)) * 100}%` } })),
    el("span", { class: "value" }, percent(share)))));
  if (rows.length <= limit) return [list(rows)];
  return [list(rows.slice(0, limit)),
    el("details", {}, el("summary", {}, `All ${rows.length} labels`), list(rows.slice(limit)))];
}

export function table(header, rows, numeric = []) {
  const kind = (i) => (numeric.includes(i) ? "number" : undefined);
  return el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": header.join(", ") }, el("table", {},
    el("thead", {}, el("tr", {}, header.map((name, i) => el("th", { scope: "col", class: kind(i) }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => el("td", { class: kind(i) }, cell)))))));
}

// A row of words of which one can be selected: one tab stop; arrow keys move between the words.
export function chooser(label, words, { onchoose, paint }) {
  const buttons = words.map((word, i) => el("button", {
    type: "button", tabindex: i ? "-1" : "0", "aria-pressed": "false", onclick: () => choose(i),
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, Home: -words.length,
        End: words.length }[event.key];
      if (!step) return;
      event.preventDefault();
      buttons[Math.max(0, Math.min(words.length - 1, i + step))].focus();
    },
    onfocus: () => buttons.forEach((one, at) => { one.tabIndex = at === i ? 0 : -1; }),
  }, word));
  const group = el("div", { class: "tokens", role: "group", "aria-label": label }, buttons);
  function choose(i) {
    buttons.forEach((one, at) => one.setAttribute("aria-pressed", String(at === i)));
    onchoose(i);
  }
  buttons.forEach((button, i) => paint?.(button, i));
  return { group, buttons, choose };
}

export const tint = (kind, strength) => `rgba(var(--${kind}), ${Math.min(1, Math.max(0, strength)).toFixed(3)})`;
