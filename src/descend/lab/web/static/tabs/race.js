// A race, started here, shown as it goes by the blocks of its report.

import { blocks, h, say, trouble } from "../dom.js";
import { post, stop, watch } from "../net.js";
import { button, choice, field, number, rulePicker } from "../widgets.js";

export async function build(root) {
  const known = await post("race/known");
  const tasks = new Map(known.tasks.map((one) => [one.name, one]));
  const about = h("p", { class: "hint" });
  const task = choice(known.tasks.map((one) => ({ value: one.name, label: one.title === one.name ? one.name : `${one.name}: ${one.title}` })),
    known.tasks[0].name, describe);
  const rules = rulePicker(known.rules, known.chosen, 12);
  const seconds = number(120, { min: 1, max: 3600, step: 1 });
  const steps = h("input", { type: "number", min: 10, max: 5000, step: 1, placeholder: "as usual" });
  const seed = number(0, { min: 0, max: 1e6, step: 1 });
  const quick = h("input", { type: "checkbox", checked: true });
  const begin = button("Start the race", start, { class: "main" });
  const end = button("Stop", () => job && stop(job).catch((error) => trouble(error.message)), { hidden: true });
  const progress = h("progress", { max: 1, value: 0, "aria-label": "Progress", hidden: true });
  const said = h("p", { class: "said", role: "status" });
  const shown = h("div", { class: "report" });
  let job = known.running, leave = null;

  root.append(
    h("form", { class: "ask", onsubmit: (event) => { event.preventDefault(); start(); } },
      field("task", task), about,
      h("div", { class: "field wide-field" }, h("span", { class: "label" }, "rules"), rules.element),
      h("div", { class: "fields" }, field("seconds at most", seconds), field("steps of a run", steps), field("seed", seed), field("quick: five rates, fewer seeds", quick)),
      h("div", { class: "row" }, begin, end, progress)),
    said, shown);

  function describe() {
    const one = tasks.get(task.value);
    about.textContent = one.missing || one.about;
    begin.disabled = !!one.missing;
  }

  async function start() {
    trouble("");
    try {
      begin.disabled = true;
      job = (await post("race/start", { task: task.value, rules: rules.value(), quick: quick.checked,
        ...(steps.value ? { steps: Number(steps.value) } : {}), seconds: Number(seconds.value), seed: Number(seed.value) })).job;
      shown.replaceChildren();
      follow();
    } catch (error) {
      trouble(error.message);
      begin.disabled = false;
    }
  }

  function follow() {
    leave?.();
    const all = {};
    leave = watch(job, (news) => {
      Object.assign(all, news);
      const running = all.state === "running";
      begin.disabled = running;
      end.hidden = progress.hidden = !running;
      if (all.total) { progress.max = all.total; progress.value = all.done; }
      if (news.blocks) blocks(shown, news.blocks);
      const ends = { done: all.ended || "decided", stopped: "stopped; what is finished is kept", failed: all.error,
        lost: "the connection was lost; the race goes on" };
      const parts = running ? [all.progress, all.decided] : [ends[all.state], all.race && `descend race --from ${all.race}`];
      said.textContent = parts.filter(Boolean).join(" · ");
      if (!running) say(`The race is over. ${all.verdict || ""}`);
    });
  }

  describe();
  if (job) follow();
  return {
    state: () => ({ task: task.value, rules: rules.value().join(","), seconds: seconds.value, steps: steps.value, seed: seed.value, quick: quick.checked ? 1 : 0 }),
    restore(state) {
      if (tasks.has(state.task)) task.value = state.task;
      const named = (state.rules || "").split(",").filter((rule) => known.rules.includes(rule)).slice(0, 12);
      if (named.length) rules.set(named);
      if (Number(state.seconds) >= 1) seconds.value = state.seconds;
      if (/^\d+$/.test(state.steps || "")) steps.value = state.steps;
      if (/^\d+$/.test(state.seed || "")) seed.value = state.seed;
      if (state.quick) quick.checked = state.quick === "1";
      describe();
    },
  };
}
