// A range test, started here, shown by the blocks of its page.

import { blocks, h, say, short, trouble } from "../dom.js";
import { post, stop, watch } from "../net.js";
import { button, choice, field, number } from "../widgets.js";

export async function build(root) {
  const known = await post("rate/known");
  const rule = choice(known.rules, "adam");
  const task = choice(known.tasks, "digits");
  const steps = number(300, { min: 10, max: 1000, step: 1 });
  const repeats = number(3, { min: 1, max: 5, step: 1 });
  const seed = number(0, { min: 0, max: 1e6, step: 1 });
  const begin = button("Find a rate", start, { class: "main" });
  const end = button("Stop", () => job && stop(job).catch((error) => trouble(error.message)), { hidden: true });
  const progress = h("progress", { max: 1, value: 0, "aria-label": "Progress", hidden: true });
  const said = h("p", { class: "said", role: "status" });
  const shown = h("div", { class: "report" });
  let job = known.running, leave = null;

  root.append(
    h("form", { class: "ask", onsubmit: (event) => { event.preventDefault(); start(); } },
      h("div", { class: "fields" }, field("rule", rule), field("task", task), field("steps of a sweep", steps),
        field("sweeps", repeats), field("seed", seed)),
      h("div", { class: "row" }, begin, end, progress)),
    said, shown);

  async function start() {
    trouble("");
    try {
      begin.disabled = true;
      job = (await post("rate/start", { rule: rule.value, task: task.value, steps: Number(steps.value),
        repeats: Number(repeats.value), seed: Number(seed.value) })).job;
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
      const ends = { done: "", stopped: "stopped; no rate was found", failed: all.error, lost: "the connection was lost" };
      said.textContent = running ? all.progress || "" : ends[all.state];
      if (all.state === "done" && all.lr) say(`Found ${short(all.lr)} for ${all.rule}.`);
    });
  }

  if (job) follow();
  return {
    state: () => ({ rule: rule.value, task: task.value, steps: steps.value, repeats: repeats.value, seed: seed.value }),
    restore(state) {
      if (known.rules.includes(state.rule)) rule.value = state.rule;
      if (known.tasks.includes(state.task)) task.value = state.task;
      for (const [name, one] of [["steps", steps], ["repeats", repeats], ["seed", seed]]) {
        const wanted = Number(state[name]);
        if (state[name] && wanted >= Number(one.min) && wanted <= Number(one.max)) one.value = String(wanted);
      }
    },
  };
}
