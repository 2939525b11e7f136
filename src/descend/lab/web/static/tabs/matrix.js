// Singular values of a matrix and of its updates, rule beside rule.

import { blocks, h, say, trouble } from "../dom.js";
import { post } from "../net.js";
import { field, fixed, number, restored } from "../widgets.js";

export async function build(root, lab) {
  const rate = (value) => number(value, { min: 1e-9, max: 1e5 }, draw);
  const made = {
    muon: rate(1), adamw: rate(1), gradient_descent: rate(3000),
    steps: number(100, { min: 2, max: 200, step: 1 }, draw), seed: number(0, { min: 0, max: 1e6, step: 1 }, draw),
  };
  const labels = { muon: "rate of muon", adamw: "rate of adamw", gradient_descent: "rate of sgd", steps: "steps", seed: "seed" };
  const said = h("p", { class: "said", role: "status" });
  const shown = h("div", { class: "report" });
  root.append(
    h("div", { class: "ask" }, h("div", { class: "fields" }, Object.entries(made).map(([name, one]) => field(labels[name], one)))),
    said, shown);
  if (lab.baked) said.before(fixed(Object.values(made), "This file holds the runs of these rates and this seed; "));

  let asked = 0;
  async function draw() {
    const mine = ++asked;
    said.textContent = "three runs are trained…";
    const body = lab.baked ? {} : Object.fromEntries(Object.entries(made).map(([name, one]) => [name, Number(one.value)]));
    for (const name of ["steps", "seed"]) if (name in body) body[name] = Math.round(body[name]);
    try {
      trouble("");
      const found = await post("matrix/draw", body);
      if (mine !== asked) return;
      blocks(shown, found.blocks);
      say(found.answer);
    } catch (error) { if (mine === asked) trouble(error.message); }
    if (mine === asked) said.textContent = "";
    lab.changed();
  }

  return {
    state: () => Object.fromEntries(Object.entries(made).map(([name, one]) => [name, one.value])),
    async restore(state) {
      if (!lab.baked) restored(state, made);
      await draw();
    },
  };
}
