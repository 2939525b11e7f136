// A learning rate by step, put together from a warm-up and what comes behind it.

import { blocks, h, say, trouble } from "../dom.js";
import { post } from "../net.js";
import { button, choice, field, fixed, number, restored } from "../widgets.js";

const WORDS = { cosine: "cosine", linear: "linear", wsd: "flat, then decay (WSD)", constant: "constant", step: "in steps" };
const ONLY = { end: ["cosine", "linear", "wsd"], decay: ["wsd"], every: ["step"], factor: ["step"] };

export async function build(root, lab) {
  const known = await post("schedules/known");
  const again = () => draw();
  const made = {
    steps: number(1000, { min: 2, max: 1e6, step: 1 }, again),
    peak: number(0.1, { min: 1e-12, max: 1e6 }, again),
    warmup: number(100, { min: 0, max: 1e6, step: 1 }, again),
    kind: choice(["linear", "exponential"], "linear", again),
    shape: choice(Object.entries(WORDS).map(([value, label]) => ({ value, label })), "cosine", again),
    end: number(0, { min: 0, max: 1 }, again),
    decay: number(0.2, { min: 0.001, max: 1 }, again),
    every: number(250, { min: 1, max: 1e6, step: 1 }, again),
    factor: number(0.5, { min: 0.001, max: 1 }, again),
  };
  const labels = { steps: "steps of the run", peak: "peak rate", warmup: "steps of warm-up", kind: "warm-up", shape: "then",
    end: "ends at (share of the peak)", decay: "decay (share of the run)", every: "steps between drops", factor: "times, each drop" };
  const places = Object.fromEntries(Object.entries(made).map(([name, one]) => [name, field(labels[name], one)]));
  const whole = ["steps", "warmup", "every"];
  const shown = h("div", { class: "report" });
  const code = h("pre", { tabIndex: 0, role: "region", "aria-label": "Python code" });
  const link = button("Copy link", () => copy(lab.link(), "The link is copied."));
  const take = button("Copy code", () => copy(code.textContent, "The code is copied."));
  let example = "";
  const pills = known.map((one) => button(one.title, () => begin(one), { class: "pill", value: one.name, "aria-pressed": "false" }));
  const line = lab.baked && fixed(Object.values(made), "This file holds these compositions; ");
  root.append(
    h("div", { class: "pills", role: "group", "aria-label": "Compositions" }, pills),
    h("div", { class: "ask" }, line, h("div", { class: "fields" }, Object.values(places))),
    shown, h("div", { class: "report" }, h("h2", {}, "Code"), code), h("div", { class: "row" }, take, link));

  async function copy(text, told) {
    try { await navigator.clipboard.writeText(text); say(told, 0); }
    catch { trouble("This browser does not let the page copy; the address bar has the link, and the code can be selected."); }
  }

  function begin(one) {
    for (const [name, input] of Object.entries(made)) if (name in one) input.value = String(one[name]);
    return draw(one.name);
  }

  const needed = (name) => !(name in ONLY) || ONLY[name].includes(made.shape.value);
  let asked = 0;
  // `named`: of a composition; any change of a field makes it another.
  async function draw(named) {
    const mine = ++asked;
    example = known.some((one) => one.name === named) ? named : "";
    for (const pill of pills) pill.setAttribute("aria-pressed", String(pill.value === example));
    for (const name of Object.keys(ONLY)) places[name].hidden = !needed(name);
    places.kind.hidden = !Number(made.warmup.value);
    const body = {};
    for (const [name, one] of Object.entries(made)) {
      if (needed(name)) body[name] = one.type === "number" ? Number(one.value) : one.value;
      if (whole.includes(name) && name in body) body[name] = Math.round(body[name]);
    }
    try {
      trouble("");
      const found = await post("schedules/draw", lab.baked ? { example } : body);
      if (mine !== asked) return;
      blocks(shown, found.blocks);
      code.textContent = found.code;
      say("The curve is drawn.");
    } catch (error) { if (mine === asked) trouble(error.message); }
    lab.changed();
  }

  return {
    state: () => lab.baked ? { example } : Object.fromEntries(Object.entries(made).filter(([name]) => needed(name)).map(([name, one]) => [name, one.value])),
    async restore(state) {
      if (lab.baked) return begin(known.find((one) => one.name === state.example) || known[0]);
      restored(state, made);
      await draw();
    },
  };
}
