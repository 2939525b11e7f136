// What is begun in a form, followed as it runs, and ended: a race, a choice, a range test.

import { blocks, h, say, trouble } from "./dom.js";
import { post, stop, watch } from "./net.js";
import { button, choice, field } from "./widgets.js";

// `name`: of the tab; `running`: a job to follow at once; `word`: on the button. `asked()` is the body of the request.
// `line(all)`: what stands below while it runs and at its end, `over(all)`: what is said aloud then.
export function jobForm(root, fields, { name, running, word, asked, line, over }) {
  const begin = button(word, start, { class: "main" });
  const end = button("Stop", () => job && stop(job).catch((error) => trouble(error.message)), { hidden: true });
  const progress = h("progress", { max: 1, value: 0, "aria-label": "Progress", hidden: true });
  const said = h("p", { class: "said", role: "status" });
  const shown = h("div", { class: "report" });
  let job = running, leave = null, busy = false, barred = false;
  root.append(
    h("form", { class: "ask", onsubmit: (event) => { event.preventDefault(); start(); } },
      ...fields, h("div", { class: "row" }, begin, end, progress)),
    said, shown);

  const set = () => (begin.disabled = busy || barred);

  async function start() {
    if (busy || barred) return;
    trouble("");
    busy = true;
    set();
    const before = said.textContent;
    said.textContent = "trying a few steps first";  // which loads torch and the data
    try {
      job = (await post(`${name}/start`, asked())).job;
      shown.replaceChildren();
      follow();
    } catch (error) {
      trouble(error.message);
      said.textContent = before;
      busy = false;
      set();
    }
  }

  function follow() {
    leave?.();
    const all = {};
    leave = watch(job, (news) => {
      Object.assign(all, news);
      busy = all.state === "running";
      set();
      end.hidden = progress.hidden = !busy;
      if (all.total) { progress.max = all.total; progress.value = all.done; }
      if (news.blocks != null) blocks(shown, news.blocks);
      said.textContent = all.state === "failed" ? all.error : line(all).filter(Boolean).join(" · ");
      if (!busy) say(over(all) || said.textContent);
    });
  }

  if (job) follow();
  return { bar(yes) { barred = yes; set(); } };
}

// A task to choose, and below it what it is about; `bar(yes)` is told whether it can be run.
export function taskPicker(tasks, bar) {
  const known = new Map(tasks.map((one) => [one.name, one]));
  const about = h("p", { class: "hint" });
  const made = choice(tasks.map(({ name, title }) => ({ value: name, label: title === name ? name : `${name}: ${title}` })),
    tasks[0].name, describe);
  function describe() {
    const one = known.get(made.value);
    about.textContent = one.missing || one.about;
    bar(!!one.missing);
  }
  return {
    elements: [field("task", made), about], describe, value: () => made.value,
    restore(name) { if (known.has(name)) made.value = name; describe(); },
  };
}
