// What several tabs need: sliders of rates, choices of rules, fields, swatches.

import { css, h, short } from "./dom.js";

const DASHES = [[], [9, 3], [3, 3], [9, 3, 2, 3], [], [6, 3], [12, 4], [2, 2]];
const MARKS = ["circle", "square", "up", "diamond", "down", "plus", "times", "hexagon"];

export const colour = (k) => css(`--s${k % 8}`);
// Beyond eight the colours come again, with other dashes and marks.
export const dash = (k) => DASHES[(k + 3 * Math.floor(k / 8)) % 8];
export const mark = (k) => MARKS[(k + 3 * Math.floor(k / 8)) % 8];

// The sign of a series as a path around (0, 0), about 9 wide.
export function sign(context, kind, x, y, size = 1) {
  context.beginPath();
  const s = 4.6 * size;
  const corners = (points) => points.forEach(([a, b], k) => context[k ? "lineTo" : "moveTo"](x + a * s, y + b * s));
  if (kind === "circle") context.arc(x, y, s, 0, 7);
  else if (kind === "square") context.rect(x - 0.85 * s, y - 0.85 * s, 1.7 * s, 1.7 * s);
  else if (kind === "up") corners([[0, -1.1], [1.05, 0.85], [-1.05, 0.85]]);
  else if (kind === "down") corners([[0, 1.1], [1.05, -0.85], [-1.05, -0.85]]);
  else if (kind === "diamond") corners([[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]]);
  else if (kind === "hexagon") corners([[-1.15, 0], [-0.58, -1], [0.58, -1], [1.15, 0], [0.58, 1], [-0.58, 1]]);
  else {
    const w = 0.36, l = 1.12;
    const plus = [[-w, -l], [w, -l], [w, -w], [l, -w], [l, w], [w, w], [w, l], [-w, l], [-w, w], [-l, w], [-l, -w], [-w, -w]];
    const r = kind === "times" ? Math.SQRT1_2 : 0;
    corners(r ? plus.map(([a, b]) => [(a - b) * r, (a + b) * r]) : plus);
  }
  context.closePath();
}

export function swatch(k) {
  const scale = Math.max(1, devicePixelRatio || 1);
  const canvas = h("canvas", { class: "swatch", width: 34 * scale, height: 14 * scale, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.strokeStyle = context.fillStyle = colour(k);
  context.lineWidth = 2;
  context.setLineDash(dash(k));
  context.beginPath();
  context.moveTo(1, 7);
  context.lineTo(33, 7);
  context.stroke();
  sign(context, mark(k), 17, 7, 0.95);
  context.fill();
  return canvas;
}

let ids = 0;
export const fresh = (word) => `${word}-${++ids}`;

export function field(label, input, hint = "") {
  input.id = input.id || fresh("field");
  return h("div", { class: "field" }, h("label", { for: input.id, htmlFor: input.id }, label), input,
    hint && h("span", { class: "hint" }, hint));
}

export function choice(options, value, onchange, groups = null) {
  const item = (one) => h("option", { value: one.value ?? one, selected: (one.value ?? one) === value }, one.label ?? one);
  const made = h("select", { onchange: () => onchange?.(made.value) });
  if (groups) for (const [label, items] of groups) made.append(h("optgroup", { label }, items.map(item)));
  else made.append(...options.map(item));
  if (value != null) made.value = value;
  return made;
}

export function number(value, { min, max, step = "any" }, onchange) {
  const made = h("input", { type: "number", value: String(value), min, max, step });
  made.addEventListener("change", () => {
    const found = Number(made.value);
    const kept = Number.isFinite(found) && made.value !== "" ? Math.min(Math.max(found, min), max) : value;
    made.value = String(kept);
    onchange?.(kept);
  });
  return made;
}

// A number that may be left out.
export const entry = (bounds) => h("input", { type: "number", ...bounds });

// Fields that an exported file shows and cannot change, with the line that says so.
export function fixed(inputs, line) {
  for (const one of inputs) one.disabled = true;
  return h("p", { class: "hint" }, line, h("code", {}, "descend lab"), " takes any.");
}

// What a link says of these inputs, as far as it fits; whether one of them has changed.
export function restored(state, inputs) {
  let other = false;
  for (const [name, one] of Object.entries(inputs)) {
    const text = state[name], wanted = Number(text);
    const fits = text && (one.type === "number"
      ? wanted >= Number(one.min) && wanted <= Number(one.max)
      : [...one.options].some(({ value }) => value === text));
    if (fits && one.value !== text) { one.value = text; other = true; }
  }
  return other;
}

// A rate on a logarithmic scale, 200 places a decade, from where nothing moves to where everything explodes.
export function rateSlider(label, lr, oninput, [low, high] = [-6, 2]) {
  const said = h("output", { class: "rate" }, short(lr));
  const range = h("input", {
    type: "range", min: String(low), max: String(high), step: "0.005", "aria-label": label, class: "log",
  });
  const show = (value) => {
    range.value = String(Math.log10(Math.max(value, 1e-12)));
    range.setAttribute("aria-valuetext", short(value));
    said.textContent = short(value);
  };
  show(lr);
  range.addEventListener("input", () => {
    const value = Number((10 ** Number(range.value)).toPrecision(3));
    range.setAttribute("aria-valuetext", short(value));
    said.textContent = short(value);
    oninput(value);
  });
  return { element: h("span", { class: "slider" }, range, said), set: show, range };
}

// Rules to tick, the chosen ones first in sight; `most` at once.
export function rulePicker(all, chosen, most, onchange) {
  const marked = new Set(chosen);
  const name = fresh("rules");
  const box = h("div", { class: "picker", role: "group", "aria-label": "Rules" });
  const add = choice(["add a rule…", ...all], "add a rule…", (value) => {
    add.value = "add a rule…";
    if (value !== "add a rule…" && marked.size < most) { marked.add(value); draw(); onchange?.([...marked]); }
  });
  add.setAttribute("aria-label", "Add a rule");
  add.name = name;
  function draw() {
    box.replaceChildren(
      ...[...marked].map((rule) => h("button", {
        type: "button", class: "chip", "aria-label": `Remove ${rule}`,
        onclick: () => { if (marked.size > 1) { marked.delete(rule); draw(); onchange?.([...marked]); } },
      }, rule, h("span", { "aria-hidden": "true" }, " ×"))),
      add,
    );
  }
  draw();
  return { element: box, value: () => [...marked], set(rules) { marked.clear(); rules.forEach((r) => marked.add(r)); draw(); } };
}

// The same as a field of a form, at most twelve; `restore`: as a link names them.
export function ruleField(all, chosen) {
  const picker = rulePicker(all, chosen, 12);
  return {
    element: h("div", { class: "field" }, h("span", { class: "label" }, "rules"), picker.element),
    value: picker.value,
    restore(text) {
      const named = (text || "").split(",").filter((rule) => all.includes(rule)).slice(0, 12);
      if (named.length) picker.set(named);
    },
  };
}

export function button(label, onclick, props = {}) {
  return h("button", { type: "button", onclick, ...props }, label);
}
