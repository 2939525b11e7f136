// A choice of rule, rate and schedule, started here; the answer so far is shown as its report would show it.

import { h } from "../dom.js";
import { jobForm, taskPicker } from "../job.js";
import { post } from "../net.js";
import { choice, entry, field, number, restored, ruleField } from "../widgets.js";

export async function build(root) {
  const known = await post("choose/known");
  const task = taskPicker(known.tasks, (yes) => job.bar(yes));
  const rules = ruleField(known.rules, known.chosen);
  const spend = number(60, { min: 0.01, max: 3600 });
  const unit = choice([{ value: "seconds", label: "seconds" }, { value: "runs", label: "trainings" }], "seconds");
  const horizon = entry({ min: 16, max: 20000, step: 1, placeholder: "as usual" });
  const seed = number(0, { min: 0, max: 1e6, step: 1 });
  const fields = [...task.elements, rules.element,
    h("div", { class: "fields" }, field("to spend", spend), field("counted in", unit),
      field("steps of your training", horizon), field("seed", seed))];
  const ends = { done: "chosen", stopped: "stopped", lost: "the connection was lost; it goes on" };
  const job = jobForm(root, fields, {
    name: "choose", word: "Choose", running: known.running,
    asked: () => ({ task: task.value(), rules: rules.value(), [unit.value]: Number(spend.value),
      ...(horizon.value ? { horizon: Number(horizon.value) } : {}), seed: Number(seed.value) }),
    line: (all) => (all.state === "running"
      ? [all.progress, all.runs && `${all.runs} run${all.runs === 1 ? "" : "s"}`, all.answer]
      : [ends[all.state], all.answer || "there was nothing to answer with", all.note]),
    over: (all) => all.answer && `Chosen: ${all.answer}.`,
  });
  task.describe();
  return {
    state: () => ({ task: task.value(), rules: rules.value().join(","), spend: spend.value, unit: unit.value, horizon: horizon.value, seed: seed.value }),
    restore(state) {
      task.restore(state.task);
      rules.restore(state.rules);
      restored(state, { spend, unit, horizon, seed });
    },
  };
}
