"use strict";
const { blocks } = JSON.parse(document.getElementById("data").textContent);
const BLUE = [76, 120, 168], ORANGE = [245, 133, 24], FONT = "13px system-ui, sans-serif";
const STRONGEST = 3;                           // lines from each token, while none is pointed at
const at = { block: 0, layer: 0, head: 0, side: "", word: -1, pinned: false };  // side: queries or keys
const byId = id => document.getElementById(id), unpacked = new WeakMap();
const ratio = () => window.devicePixelRatio || 1;

function matrix(packed) {                      // decode 16-bit values
  if (!unpacked.has(packed)) {
    const bytes = new DataView(Uint8Array.from(atob(packed.steps), c => c.charCodeAt(0)).buffer);
    const { rows, columns, low, high } = packed, step = (high - low) / 65535;
    const values = Float32Array.from({ length: rows * columns }, (_, i) => low + step * bytes.getUint16(2 * i, true));
    unpacked.set(packed, { rows, columns, values, largest: Math.max(Math.abs(low), Math.abs(high)) || 1 });
  }
  return unpacked.get(packed);
}
function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
}
function picture({ rows, columns, values, largest }, signed) {  // one pixel per value, from the background colour
  const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
  const pen = canvas.getContext("2d"), image = pen.createImageData(columns, rows), paper = colour("--paper");
  values.forEach((value, i) => {
    const strong = signed && value > 0 ? ORANGE : BLUE, share = Math.min(1, Math.abs(value) / largest);
    paper.forEach((from, c) => { image.data[4 * i + c] = from + share * (strong[c] - from); });
    image.data[4 * i + 3] = 255;
  });
  pen.putImageData(image, 0, 0);
  return canvas;
}
function sized(canvas, width, height) {
  canvas.width = Math.round(width * ratio());
  canvas.height = Math.round(height * ratio());
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio(), 0, 0, ratio(), 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.font = FONT;
  return pen;
}
function shortened(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  while (text && pen.measureText(text + "…").width > room) text = text.slice(0, -1);
  return text + "…";
}

function heat(canvas, packed, { rows, columns, signed, describe, label }) {  // rows, columns: tokens as labels, if any
  const values = matrix(packed), pen = canvas.getContext("2d");
  pen.font = FONT;
  const widest = words => Math.min(110, Math.max(0, ...words.map(word => pen.measureText(word).width)) + 8);
  const left = rows ? widest(rows) : 0, top = columns ? widest(columns) : 0;
  const room = canvas.parentElement.clientWidth - left;
  const across = columns ? Math.max(14, Math.min(30, room / values.columns)) : room / values.columns;
  const down = columns ? across : rows ? 15 : Math.max(2, Math.min(6, 160 / values.rows));
  const width = left + across * values.columns, height = top + down * values.rows;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.style.maxWidth = columns ? "none" : "100%";
  canvas.setAttribute("aria-label", label);
  const brush = sized(canvas, width, height);
  brush.drawImage(picture(values, signed), left, top, width - left, height - top);
  brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  brush.textBaseline = "middle";
  brush.textAlign = "right";
  (rows || []).forEach((word, i) => brush.fillText(shortened(brush, word, left - 6), left - 5, top + (i + 0.5) * down));
  brush.textAlign = "left";
  (columns || []).forEach((word, i) => {
    brush.save();
    brush.translate(left + (i + 0.5) * across, top - 5);
    brush.rotate(-Math.PI / 2);
    brush.fillText(shortened(brush, word, top - 6), 0, 0);
    brush.restore();
  });
  const readout = canvas.closest("figure").querySelector(".readout");
  canvas.onpointerleave = () => { readout.textContent = ""; };
  canvas.onpointermove = canvas.onpointerdown = event => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - left) / across);
    const row = Math.floor((event.clientY - box.top - top) / down);
    const inside = row >= 0 && row < values.rows && column >= 0 && column < values.columns;
    readout.textContent = inside ? `${describe(row, column)}: ${values.values[row * values.columns + column].toFixed(3)}` : "";
  };
}

function bars(canvas, values, label) {
  const width = canvas.parentElement.clientWidth, height = 56, largest = values[0] || 1, step = width / values.length;
  canvas.style.height = `${height}px`;
  canvas.style.width = `${width}px`;
  canvas.setAttribute("aria-label", label);
  const pen = sized(canvas, width, height), readout = canvas.closest("figure").querySelector(".readout");
  pen.fillStyle = `rgb(${BLUE})`;
  values.forEach((value, i) => {
    const tall = Math.max(1, value / largest * (height - 4));
    pen.fillRect(i * step, height - tall, Math.max(1, step - 1), tall);
  });
  canvas.onpointerleave = () => { readout.textContent = ""; };
  canvas.onpointermove = canvas.onpointerdown = event => {
    const i = Math.floor((event.clientX - canvas.getBoundingClientRect().left) / step);
    readout.textContent = i in values ? `singular value ${i + 1}: ${values[i].toFixed(4)}` : "";
  };
}

const block = () => blocks[at.block], head = () => block().layers[at.layer][at.head];

function drawGrid() {
  byId("grid").replaceChildren(...block().layers.map((heads, layer) => {
    const row = document.createElement("div"), name = document.createElement("span");
    name.textContent = `layer ${layer}`;
    row.append(name, ...heads.map((one, number) => {
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      button.type = "button";
      button.title = `layer ${layer}, head ${number}`;
      button.setAttribute("aria-label", button.title);
      button.setAttribute("aria-pressed", layer === at.layer && number === at.head);
      button.onclick = () => { Object.assign(at, { layer, head: number }); drawChoice(); drawHead(); };
      sized(canvas, 72, 72).drawImage(picture(matrix(one.attention), false), 0, 0, 72, 72);
      button.append(canvas);
      return button;
    }));
    return row;
  }));
}
function drawChoice() {
  byId("blocks").hidden = blocks.length < 2;
  [...byId("blocks").children].forEach((button, i) => button.setAttribute("aria-pressed", i === at.block));
  [...byId("grid").children].forEach((row, layer) => row.querySelectorAll("button").forEach((button, number) =>
    button.setAttribute("aria-pressed", layer === at.layer && number === at.head)));
}

function drawWords() {
  const sides = { queries: block().words, keys: block().seen };
  for (const [side, words] of Object.entries(sides)) {
    byId("words").querySelector(`.${side}`).replaceChildren(...words.map((word, i) => {
      const [button, share, text] = ["button", "small", "span"].map(tag => document.createElement(tag));
      button.type = "button";
      text.textContent = button.title = word;
      button.append(...side === "queries" ? [share, text] : [text, share]);
      const point = pinned => { Object.assign(at, { side, word: i, pinned }); drawLines(); };
      const leave = () => { Object.assign(at, { word: -1, pinned: false }); drawLines(); };
      const hovers = event => event.pointerType === "mouse" && !at.pinned;
      button.onpointerenter = event => { if (hovers(event)) point(false); };
      button.onpointerleave = event => { if (hovers(event)) leave(); };
      button.onclick = () => (at.pinned && at.side === side && at.word === i ? leave() : point(true));
      return button;
    }));
  }
  drawLines();
}
function drawLines() {
  const box = byId("words"), canvas = box.querySelector("canvas"), values = matrix(head().attention);
  const lists = { queries: [...box.querySelectorAll(".queries button")], keys: [...box.querySelectorAll(".keys button")] };
  const width = canvas.clientWidth, tall = lists.queries[0].offsetHeight;
  const pen = sized(canvas, width, tall * Math.max(lists.queries.length, lists.keys.length));
  pen.strokeStyle = `rgb(${BLUE})`;
  pen.lineWidth = 2;
  for (let row = 0; row < values.rows; row++) {
    const weights = [...values.values.subarray(row * values.columns, (row + 1) * values.columns)];
    const least = at.word < 0 ? [...weights].sort((a, b) => b - a)[STRONGEST - 1] ?? 0 : 0;
    weights.forEach((value, column) => {
      if (value < least || (at.word >= 0 && at.word !== (at.side === "queries" ? row : column))) return;
      pen.globalAlpha = value / values.largest;
      pen.beginPath();
      pen.moveTo(2, (row + 0.5) * tall);
      pen.lineTo(width - 2, (column + 0.5) * tall);
      pen.stroke();
    });
  }
  for (const [side, buttons] of Object.entries(lists)) buttons.forEach((button, i) => {
    const other = at.word >= 0 && side !== at.side, mine = at.side === side && at.word === i;
    const [row, column] = side === "keys" ? [at.word, i] : [i, at.word];
    const value = other ? values.values[row * values.columns + column] : 0;
    button.setAttribute("aria-pressed", mine);
    button.style.backgroundColor = other ? `rgba(${BLUE}, ${(0.6 * value / values.largest).toFixed(3)})` : "";
    button.querySelector("small").textContent = other ? value.toFixed(2) : "";
  });
}

function drawHead() {
  const one = head(), { name, words, seen } = block(), place = `${name}, layer ${at.layer}, head ${at.head}`;
  byId("chosen").textContent = place;
  drawLines();
  heat(byId("attention"), one.attention, { rows: words, columns: seen, signed: false, label: `Attention of ${place}`,
    describe: (row, column) => `${words[row]} attends to ${seen[column]}` });
  for (const part of ["query", "key", "value"].filter(part => part in one)) {
    const whose = part === "query" ? words : seen;
    heat(byId(part), one[part], { rows: whose, signed: true, label: `${part} vectors of ${place}`,
      describe: (row, column) => `${whose[row]}, dimension ${column}` });
  }
  for (const [part, { shape, norm, spectrum, effective_rank: rank }] of Object.entries(one.matrices || {})) {
    byId(`about-${part}`).textContent =
      `${part}, ${shape.join(" × ")}: norm ${norm.toFixed(3)}, effective rank ${rank.toFixed(1)}`;
    bars(byId(`values-${part}`), spectrum, `Singular values of ${part}`);
    if (!(part in one.weights)) continue;
    const stride = Math.ceil(Math.max(...shape) / one.weights[part].columns);
    heat(byId(part), one.weights[part], { signed: true, label: `${part} of ${place}`,
      describe: (row, column) => `head ${row}, model ${column * stride}` });
  }
}
function draw() { drawGrid(); drawWords(); drawHead(); drawChoice(); }

byId("blocks").append(...blocks.map(({ name }, i) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.onclick = () => { Object.assign(at, { block: i, layer: 0, head: 0, word: -1, pinned: false }); draw(); };
  return button;
}));
draw();
let width = window.innerWidth;
window.addEventListener("resize", () => {      // browser bars of phones change the height only
  if (width === window.innerWidth) return;
  width = window.innerWidth;
  drawHead();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
