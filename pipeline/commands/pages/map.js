"use strict";
const { words, points: given, neighbors } = JSON.parse(document.getElementById("data").textContent);
const canvas = document.querySelector("#map canvas"), pen = canvas.getContext("2d");
const near = document.getElementById("near"), form = document.getElementById("search");
const field = form.querySelector("input"), count = form.querySelector("span");
const spans = [0, 1].map(axis => given.map(point => point[axis])).map(xs => [Math.min(...xs), Math.max(...xs)]);
const points = given.map(point => point.map((x, axis) => {  // scale each axis to -1..1
  const [least, most] = spans[axis];
  return most > least ? 2 * (x - least) / (most - least) - 1 : 0;
}));
const number = new Map(words.map((word, i) => [word, i]));
const FONT = "13px system-ui, sans-serif", BLUE = "#4c78a8", ORANGE = "#f58518", MARGIN = 36, REACH = 16;
const view = { scale: 1, x: 0, y: 0 };         // zoom factor, and the point at the centre
let width = 0, height = 0, chosen = -1, pinned = -1, matches = new Set(), widths = [];

function units() {                             // pixels per unit, horizontal and vertical
  return [width, height].map(side => view.scale * Math.max(40, side / 2 - MARGIN));
}
function place([x, y]) {
  const [across, up] = units();
  return [width / 2 + (x - view.x) * across, height / 2 - (y - view.y) * up];
}
function plane(px, py) {
  const [across, up] = units();
  return [view.x + (px - width / 2) / across, view.y - (py - height / 2) / up];
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink"), soft = style.getPropertyValue("--soft");
  const paper = style.getPropertyValue("--paper");
  pen.clearRect(0, 0, width, height);
  pen.font = FONT;
  pen.textBaseline = "middle";
  const at = points.map(place), searching = matches.size > 0;
  const linked = chosen < 0 ? [] : neighbors[chosen].map(([word]) => number.get(word)).filter(i => i !== undefined);
  pen.strokeStyle = ORANGE;
  pen.globalAlpha = 0.6;
  for (const i of linked) { pen.beginPath(); pen.moveTo(...at[chosen]); pen.lineTo(...at[i]); pen.stroke(); }
  at.forEach(([x, y], i) => {
    const marked = matches.has(i) || i === chosen;
    pen.fillStyle = marked ? ORANGE : BLUE;
    pen.globalAlpha = searching && !marked ? 0.25 : 0.8;
    pen.beginPath(); pen.arc(x, y, marked ? 4 : 2.5, 0, 7); pen.fill();
  });
  const taken = new Map(), ROW = 20;           // label boxes by row of the screen, to limit comparisons
  const bands = (top, bottom) => [...new Set([top, bottom].map(y => Math.floor(y / ROW)))];
  const take = (left, top, right, bottom) => {
    for (const band of bands(top, bottom)) taken.set(band, [...(taken.get(band) || []), [left, top, right, bottom]]);
  };
  const free = (left, top, right, bottom) => bands(top, bottom).every(band =>
    (taken.get(band) || []).every(([l, t, r, b]) => l >= right || r <= left || t >= bottom || b <= top));
  at.forEach(([x, y]) => { if (x > 0 && x < width && y > 0 && y < height) take(x - 2, y - 2, x + 2, y + 2); });
  const label = (i, colour, must) => {
    const [x, y] = at[i], w = widths[i];
    if (x < -w || x > width + w || y < -20 || y > height + 20) return;
    const spots = [[x + 6, y - 8], [x - 6 - w, y - 8], [x - w / 2, y - 22], [x - w / 2, y + 6]];
    const inside = ([l, t]) => l >= 2 && l + w <= width - 2 && t >= 2 && t + 16 <= height - 2;
    const fits = ([l, t]) => inside([l, t]) && free(l - 2, t + 1, l + w + 2, t + 15);
    const spot = spots.find(fits) || (must ? spots.find(inside) || spots[0] : null);
    if (!spot) return;
    const [left, top] = spot;
    take(left - 2, top + 1, left + w + 2, top + 15);
    pen.lineWidth = 3; pen.strokeStyle = paper; pen.lineJoin = "round";
    pen.strokeText(words[i], left, top + 8);
    pen.fillStyle = colour;
    pen.fillText(words[i], left, top + 8);
  };
  pen.globalAlpha = 1;
  const first = [...(chosen < 0 ? [] : [chosen]), ...linked], done = new Set(first);
  first.forEach((i, place) => label(i, place ? ink : ORANGE, true));
  for (const i of matches) if (!done.has(i)) { done.add(i); label(i, ink, false); }
  pen.globalAlpha = searching || chosen >= 0 ? 0.45 : 1;
  words.forEach((_, i) => { if (!done.has(i)) label(i, searching || chosen >= 0 ? soft : ink, false); });
  pen.globalAlpha = 1;
  pen.lineWidth = 1;
}

function choose(i) {
  if (i === chosen) return;
  chosen = i;
  near.replaceChildren();
  if (i >= 0) {
    const title = document.createElement("b"), list = document.createElement("ol");
    title.textContent = words[i];
    for (const [word, similarity] of neighbors[i]) {
      const item = document.createElement("li"), small = document.createElement("small");
      item.textContent = word;
      small.textContent = similarity.toFixed(2);
      item.append(small);
      if (number.has(word)) {
        item.className = "on-map";
        item.title = "show on the map";
        item.onclick = () => show(number.get(word));
      }
      list.append(item);
    }
    near.append(title, list);
  }
  draw();
}

function show(i) {
  pinned = i;
  [view.x, view.y] = points[i];
  view.scale = Math.max(view.scale, 2.5);
  chosen = -1;
  choose(i);
}

function zoom(by, px = width / 2, py = height / 2) {
  if (!by) { Object.assign(view, { scale: 1, x: 0, y: 0 }); draw(); return; }
  const [x, y] = plane(px, py);
  view.scale = Math.min(60, Math.max(0.5, view.scale * by));
  const [nx, ny] = plane(px, py);
  view.x += x - nx;
  view.y += y - ny;
  draw();
}

function nearest(px, py) {
  let best = -1, least = REACH ** 2;
  points.forEach((point, i) => {
    const [x, y] = place(point), distance = (x - px) ** 2 + (y - py) ** 2;
    if (distance < least) { least = distance; best = i; }
  });
  return best;
}

const held = new Map();                        // active pointers by id: one drags, two pinch
let moved = 0;
const spot = event => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
canvas.onpointerdown = event => {
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, spot(event));
  moved = 0;
  canvas.classList.add("held");
};
canvas.onpointermove = event => {
  const [x, y] = spot(event), before = held.get(event.pointerId);
  if (!before) {
    const i = nearest(x, y);
    canvas.classList.toggle("near", i >= 0);
    choose(i >= 0 ? i : pinned);
    return;
  }
  moved += Math.hypot(x - before[0], y - before[1]);
  const other = [...held].find(([id]) => id !== event.pointerId);
  held.set(event.pointerId, [x, y]);
  if (other) {
    const [ox, oy] = other[1];
    zoom(Math.hypot(x - ox, y - oy) / Math.max(1, Math.hypot(before[0] - ox, before[1] - oy)), (x + ox) / 2, (y + oy) / 2);
  } else {
    const [ax, ay] = plane(...before), [bx, by] = plane(x, y);
    view.x += ax - bx;
    view.y += ay - by;
    draw();
  }
};
canvas.onpointerup = canvas.onpointercancel = event => {
  if (held.delete(event.pointerId) && moved < 5 && event.type === "pointerup") {
    pinned = nearest(...spot(event));
    choose(pinned);
  }
  if (!held.size) canvas.classList.remove("held");
};
canvas.onpointerleave = () => choose(pinned);
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...spot(event));
}, { passive: false });
canvas.onkeydown = event => {
  const steps = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] };
  const by = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, "0": 0 };
  if (event.key in steps) {
    [view.x, view.y] = plane(width / 2 + steps[event.key][0], height / 2 + steps[event.key][1]);
    draw();
  } else if (event.key in by) zoom(by[event.key]);
  else return;
  event.preventDefault();
};
for (const button of document.querySelectorAll("#zoom button")) button.onclick = () => zoom(Number(button.dataset.by));

field.oninput = () => {
  const sought = field.value.trim().toLowerCase();
  matches = new Set(sought ? words.map((_, i) => i).filter(i => words[i].toLowerCase().includes(sought)) : []);
  count.textContent = sought ? `${matches.size} of ${words.length} words` : "";
  draw();
};
form.onsubmit = event => {
  event.preventDefault();
  const sought = field.value.trim().toLowerCase();
  const best = [...matches].sort((i, j) => (words[j].toLowerCase() === sought) - (words[i].toLowerCase() === sought))[0];
  if (best !== undefined) show(best);
};

function resize() {
  const ratio = window.devicePixelRatio || 1;
  width = canvas.clientWidth;
  height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = FONT;
  widths = words.map(word => pen.measureText(word).width);
  draw();
}
new ResizeObserver(resize).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
