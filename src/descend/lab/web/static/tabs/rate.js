// A range test, started here, shown by the blocks of its page.

import { h, short } from "../dom.js";
import { jobForm, taskPicker } from "../job.js";
import { post } from "../net.js";
import { choice, field, number, restored } from "../widgets.js";

export async function build(root) {
  const known = await post("rate/known");
  const rule = choice(known.rules, "adam");
  const task = taskPicker(known.tasks, (yes) => job.bar(yes));
  const steps = number(300, { min: 10, max: 1000, step: 1 });
  const repeats = number(3, { min: 1, max: 5, step: 1 });
  const seed = number(0, { min: 0, max: 1e6, step: 1 });
  const fields = [...task.elements,
    h("div", { class: "fields" }, field("rule", rule), field("steps of a sweep", steps), field("sweeps", repeats), field("seed", seed))];
  const ends = { done: "", stopped: "stopped; no rate was found", lost: "the connection was lost" };
  const job = jobForm(root, fields, {
    name: "rate", word: "Find a rate", running: known.running,
    asked: () => ({ rule: rule.value, task: task.value(), steps: Number(steps.value), repeats: Number(repeats.value), seed: Number(seed.value) }),
    line: (all) => [all.state === "running" ? all.progress : ends[all.state]],
    over: (all) => all.state === "done" && all.lr && `Found ${short(all.lr)} for ${all.rule}.`,
  });
  task.describe();
  return {
    state: () => ({ rule: rule.value, task: task.value(), steps: steps.value, repeats: repeats.value, seed: seed.value }),
    restore(state) {
      task.restore(state.task);
      restored(state, { rule, steps, repeats, seed });
    },
  };
}
