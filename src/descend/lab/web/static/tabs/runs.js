// The races in the store, and their reports.

import { blocks, h, say, trouble } from "../dom.js";
import { post } from "../net.js";
import { button } from "../widgets.js";

export async function build(root, lab) {
  const list = h("div", { class: "report" });
  const title = h("h2", { tabIndex: -1, hidden: true });
  // a tree of its own: a report of the tab of races has the same ids
  const place = h("div");
  const report = h("div", { class: "report" });
  const tree = place.attachShadow({ mode: "open" });
  const style = new CSSStyleSheet();
  style.replaceSync([...document.styleSheets].flatMap((one) => [...one.cssRules]).map((one) => one.cssText).join("\n"));
  tree.adoptedStyleSheets = [style];
  tree.append(report);
  let open = "", stale = false;
  root.append(h("div", { class: "row" }, button("Look again", load)), list, title, place);

  async function load() {
    try {
      trouble("");
      const { store, races, more } = await post("runs/kept");
      const head = ["race", "begun (UTC)", "state", "runs", "rules"];
      const row = (one) => h("tr", {},
        h("th", { scope: "row" }, one.report ? h("a", { href: `#runs?race=${encodeURIComponent(one.race)}` }, one.race) : one.race),
        h("td", {}, one.begun), h("td", {}, one.state), h("td", { class: "right" }, String(one.runs)), h("td", { class: "words" }, one.rules));
      list.replaceChildren(
        races.length
          ? h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Races" }, h("table", {},
              h("thead", {}, h("tr", {}, head.map((word) => h("th", { scope: "col" }, word)))), h("tbody", {}, races.map(row))))
          : h("p", {}, "No race yet. The tab Race starts one, and so does ", h("code", {}, "descend race"), "."),
        h("p", { class: "hint" }, `${more ? `${more} older ones are not listed. ` : ""}They lie in ${store}.`));
    } catch (error) { trouble(error.message); }
  }

  async function show(race) {
    open = race;
    try {
      trouble("");
      const found = await post("runs/report", { race });
      if (open !== race) return;
      blocks(report, found.blocks);
      title.textContent = race;
      title.hidden = false;
      say(found.verdict);
      title.scrollIntoView({ block: "start" });
      title.focus({ preventScroll: true });
    } catch (error) {
      if (open !== race) return;
      report.replaceChildren();
      title.hidden = true;
      trouble(error.message);
    }
    lab.changed();
  }

  await load();
  return {
    state: () => ({ race: open }),
    async restore(state) { if (state.race && state.race !== open) await show(state.race); },
    hidden: () => { stale = true; },
    shown: () => { if (stale) load(); stale = false; },
  };
}
