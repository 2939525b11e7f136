// A race, started here, shown as it goes by the blocks of its report.

import { h } from "../dom.js";
import { jobForm, taskPicker } from "../job.js";
import { post } from "../net.js";
import { entry, field, number, restored, ruleField } from "../widgets.js";

export async function build(root) {
  const known = await post("race/known");
  const task = taskPicker(known.tasks, (yes) => job.bar(yes));
  const rules = ruleField(known.rules, known.chosen);
  const seconds = number(120, { min: 1, max: 3600, step: 1 });
  const steps = entry({ min: 10, max: 5000, step: 1, placeholder: "as usual" });
  const seed = number(0, { min: 0, max: 1e6, step: 1 });
  const quick = h("input", { type: "checkbox", checked: true });
  const fields = [...task.elements, rules.element,
    h("div", { class: "fields" }, field("seconds at most", seconds), field("steps of a run", steps), field("seed", seed), field("quick: five rates, fewer seeds", quick))];
  const ends = (all) => ({ done: all.ended || "decided", stopped: "stopped; what is finished is kept",
    lost: "the connection was lost; the race goes on" })[all.state];
  const job = jobForm(root, fields, {
    name: "race", word: "Start the race", running: known.running,
    asked: () => ({ task: task.value(), rules: rules.value(), quick: quick.checked,
      ...(steps.value ? { steps: Number(steps.value) } : {}), seconds: Number(seconds.value), seed: Number(seed.value) }),
    line: (all) => (all.state === "running" ? [all.progress, all.decided] : [ends(all), all.race && `descend race --from ${all.race}`]),
    over: (all) => `The race is over. ${all.verdict || ""}`,
  });
  task.describe();
  return {
    state: () => ({ task: task.value(), rules: rules.value().join(","), seconds: seconds.value, steps: steps.value, seed: seed.value, quick: quick.checked ? 1 : 0 }),
    restore(state) {
      task.restore(state.task);
      rules.restore(state.rules);
      restored(state, { seconds, steps, seed });
      if (state.quick) quick.checked = state.quick === "1";
    },
  };
}
