// A rule: its formula and relatives, and its first steps by hand with the reader's numbers.

import { blocks, h, say, trouble } from "../dom.js";
import { post } from "../net.js";
import { choice, field, fixed, number, restored } from "../widgets.js";

export async function build(root, lab) {
  const known = await post("explain/known");
  const rules = new Map(known.map((one) => [one.name, one]));
  const families = new Map();
  for (const { family, name } of known) families.set(family, [...(families.get(family) || []), name]);
  const rule = choice([], "adam", () => show(), [...families]);
  rule.value = "adam";
  const lr = number(0.1, { min: 0, max: 1e6 }, again);
  const p = number(1, { min: -1e6, max: 1e6 }, again);
  const gradient = number(0.5, { min: -1e6, max: 1e6 }, again);
  const steps = number(1, { min: 1, max: 10, step: 1 }, again);
  const places = { lr: field("learning rate", lr), p: field("start p", p), gradient: field("gradient g", gradient, "every step the same") };
  const hint = places.gradient.querySelector(".hint");
  const hand = h("div", { class: "report" });
  const about = h("div", { class: "report" });
  let now = "", asked = 0;
  root.append(
    h("div", { class: "ask" }, h("div", { class: "fields" }, field("rule", rule))),
    h("div", { class: "stage" }, about,
      h("section", { "aria-label": "By hand" }, h("h2", {}, "By hand"),
        h("div", { class: "fields" }, places.lr, places.p, places.gradient, field("steps", steps)), hand)));

  if (lab.baked) hand.before(fixed([lr, p, gradient, steps], "This file holds one step with these numbers; "));

  async function show() {
    if (now !== rule.value) {
      now = rule.value;
      const one = rules.get(now);
      places.lr.hidden = one.lr == null;
      places.p.hidden = one.matrix;
      places.gradient.querySelector("label").textContent = one.matrix ? "gradients times" : "gradient g";
      hint.textContent = one.matrix ? "the example's matrices, scaled" : "every step the same";
      if (one.lr != null) lr.value = String(one.lr);
      gradient.value = one.matrix ? "1" : "0.5";
      try {
        trouble("");
        const wanted = now, found = await post("explain/about", { rule: wanted });
        if (wanted !== now) return;
        blocks(about, found.blocks);
        say(`${wanted} is explained.`);
      } catch (error) { trouble(error.message); }
    }
    await again();
  }

  async function again() {
    const one = rules.get(rule.value), mine = ++asked;
    const body = lab.baked ? { rule: rule.value } : { rule: rule.value, gradient: Number(gradient.value), steps: Math.round(Number(steps.value)) };
    if (one.lr != null && !lab.baked) body.lr = Number(lr.value);
    if (!one.matrix && !lab.baked) body.p = Number(p.value);
    try {
      trouble("");
      const found = await post("explain/steps", body);
      if (mine === asked) { blocks(hand, found.blocks); say(`p becomes ${found.p}.`); }
    } catch (error) { if (mine === asked) { hand.replaceChildren(); trouble(error.message); } }
    lab.changed();
  }

  return {
    state: () => ({ rule: rule.value, lr: places.lr.hidden ? "" : lr.value, p: places.p.hidden ? "" : p.value, gradient: gradient.value, steps: steps.value }),
    async restore(state) {
      if (rules.has(state.rule)) rule.value = state.rule;
      const fresh = now !== rule.value;
      if (fresh) await show();
      if (!lab.baked && restored(state, { lr, p, gradient, steps })) await again();
    },
  };
}
