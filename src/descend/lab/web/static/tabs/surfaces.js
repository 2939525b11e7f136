// Rules on a surface, all from one start.

import { h, say, short, trouble } from "../dom.js";
import { numbers, post } from "../net.js";
import { Chart } from "../chart.js";
import { MapView } from "../map.js";
import { Player } from "../player.js";
import { button, choice, field, number, rateSlider, swatch } from "../widgets.js";

const MOST = 12;

export async function build(root, lab) {
  const known = await post("surfaces/known");
  const surfaces = new Map(known.surfaces.map((one) => [one.name, one]));
  const stories = new Map(known.stories.map((one) => [one.name, one]));
  for (const one of known.surfaces) {
    if (stories.has(one.name)) continue;
    stories.set(one.name, { name: one.name, title: one.title, sentence: one.story, surface: one.name, start: one.start,
      steps: one.steps, rules: one.rules.map((rule) => [rule, one.lr]) });
  }
  const about = new Map(known.rules.map((one) => [one.name, one]));
  const now = { surface: "", start: [0, 0], steps: 100, noise: 0, seed: 0, story: "", rules: [] };
  let paths = [];

  // ------------------------------------------------------------------ parts

  const map = new MapView((x, y, dragging) => {
    if (lab.baked) return say("This file has one start for each story; descend lab takes any.", 0);
    now.start = [round(x), round(y)];
    startX.value = String(now.start[0]);
    startY.value = String(now.start[1]);
    map.start = now.start;
    touched();
    if (dragging) { player.pause(); player.t = player.steps; }
    if (dragging) walk(performance.now());
    else player.after(walk());
  });
  const chart = new Chart("Height above the minimum by step", (t) => player.hold(t));
  const player = new Player((t) => {
    map.draw(t);
    chart.at(t);
    values(t);
  });
  map.canvas.addEventListener("keydown", (event) => {
    if (event.key === " ") { event.preventDefault(); player.toggle(); }
    if (event.key === ".") player.step(1);
    if (event.key === ",") player.step(-1);
  });

  const pills = h("div", { class: "pills", role: "group", "aria-label": "Stories" });
  const lessons = known.stories.filter((one) => !surfaces.has(one.name));
  const list = [...lessons, ...[...surfaces.keys()].map((name) => stories.get(name))];
  for (const one of list) {
    pills.append(button(one.title, () => tell(one.name), { class: surfaces.has(one.name) ? "pill" : "pill lesson", value: one.name }));
  }
  const title = h("h2", { class: "story-title" });
  const sentence = h("p", { class: "story" });
  const formula = h("p", { class: "formula" });
  const rows = h("div", { class: "rules" });
  const add = choice(null, "", (name) => {
    add.value = "";
    if (name && now.rules.length < MOST) { now.rules.push(entry(name, surfaces.get(now.surface).lr)); changedRules(); }
  }, [["", [{ value: "", label: "add a rule…" }]], ...families(known.rules)]);
  add.setAttribute("aria-label", "Add a rule");
  const all = rateSlider("Rate of all rules", 0.1, (lr) => {
    for (const one of now.rules) {
      if (one.lr == null) continue;
      one.lr = lr;
      if (lab.baked) [one.j, one.lr] = near(one.k, lr);
      one.slider.set(one.lr);
    }
    touched();
    walk(performance.now());
  });
  const startX = number(0, { min: -1e6, max: 1e6 }, (x) => moved([x, now.start[1]]));
  const startY = number(0, { min: -1e6, max: 1e6 }, (y) => moved([now.start[0], y]));
  const steps = number(100, { min: 1, max: 2000, step: 1 }, (value) => { now.steps = Math.round(value); touched(); again(); });
  const noise = number(0, { min: 0, max: 1000 }, (value) => { now.noise = value; touched(); again(); });
  const seed = number(0, { min: 0, max: 1e6, step: 1 }, (value) => { now.seed = Math.round(value); touched(); again(); });
  const stateOf = choice([{ value: "-1", label: "hidden" }], "-1", (value) => {
    map.state = Number(value);
    map.draw(player.t);
    values(player.t, true);
    lab.changed();
  });
  const numbersOf = h("div", { class: "state-numbers" });
  const tune = button("Tune each", async () => {
    await guarded(async () => {
      tune.disabled = true;
      const most = Math.max(10, Math.floor(4000 / now.rules.length));
      const found = await post("surfaces/tune", { ...body(), steps: Math.min(now.steps, most) });
      found.rates.forEach(({ lr }, k) => lr != null && Object.assign(now.rules[k], { lr }));
      changedRules();
    });
    tune.disabled = false;
  }, { title: "Each rule at its best rate of 19, from this start" });
  const link = button("Copy link", async () => {
    try { await navigator.clipboard.writeText(lab.link()); link.textContent = "Copied"; }
    catch { prompt("The link:", lab.link()); }
    setTimeout(() => (link.textContent = "Copy link"), 1500);
  });

  root.append(
    pills,
    h("div", { class: "stage" },
      h("div", { class: "see" }, h("div", { class: "told" }, h("div", { class: "head" }, title, formula), sentence), map.element, player.element, chart.element),
      h("div", { class: "choose" },
        h("h3", {}, "Rules and their rates"),
        rows,
        h("div", { class: "row" }, add, tune),
        h("div", { class: "row all" }, h("span", {}, "all rates"), all.element),
        h("h3", {}, "State"),
        field("drawn on the map", stateOf),
        numbersOf,
        h("h3", {}, "Run"),
        h("div", { class: "fields" }, field("start x", startX), field("start y", startY), field("steps", steps),
          field("noise", noise), field("seed", seed)),
        h("div", { class: "row" }, link),
      )),
  );

  // ------------------------------------------------------------------ what is asked for

  function entry(rule, lr, shown = true, k = null) {
    const has = about.get(rule)?.lr != null;
    const made = { rule, lr: has ? lr ?? about.get(rule).lr : null, shown };
    return lab.baked ? { ...made, k, j: lab.baked.rates.indexOf(1) } : made;
  }

  const body = () => ({
    surface: now.surface, start: now.start, steps: now.steps, noise: now.noise, seed: now.seed,
    rules: now.rules.map(({ rule, lr }) => (lr == null ? { rule } : { rule, lr })),
  });

  let busy = false, wanted = null;
  // Ask for the paths; while an answer is on its way only the newest question waits. `since`: when the hand moved.
  async function walk(since = 0) {
    if (busy) return new Promise((done) => { wanted?.done(); wanted = { since, done }; });
    busy = true;
    const asked = body(), entries = [...now.rules];
    await guarded(async () => {
      if (lab.baked) take(await held(entries), entries, asked);
      else {
        const { head, floats } = await numbers("surfaces/paths", asked);
        take(cut(head.paths, floats, "slopes"), entries, asked);
      }
      if (since) {
        const drags = globalThis.__lab.drags;
        drags.push(performance.now() - since);
        if (drags.length > 500) drags.shift();
      }
    });
    busy = false;
    if (wanted) { const next = wanted; wanted = null; await walk(next.since); next.done(); }
  }

  // The numbers behind the heads, in the order in which `packed.py` writes them.
  function cut(heads, floats, slopes) {
    let at = 0;
    const next = (count) => floats.subarray(at, (at += count));
    return heads.map((head) => {
      const n = head.steps;
      const path = { ...head, points: next(2 * n + 2), heights: next(n + 1) };
      if (slopes) Object.assign(path, { slopes: next(2 * n), rates: next(2 * n) });
      if (head.m) path.average = next(2 * n + 2);
      if (head.v) path.spread = next(2 * n + 2);
      return path;
    });
  }

  // Of an exported file: each rule of the story at the nearest of the rates that are in it.
  async function held(entries) {
    const [[left, right], [low, high]] = surfaces.get(now.surface).frame;
    return Promise.all(entries.map(async ({ k, j }) => {
      const { head, floats } = await numbers("surfaces/paths", { story: now.story, k, j });
      const [path] = cut([head], floats);
      for (let i = 0; i < path.points.length; i += 2) {
        path.points[i] = left + path.points[i] * (right - left);
        path.points[i + 1] = low + path.points[i + 1] * (high - low);
      }
      return path;
    }));
  }

  // The rate that is there, and its number, for one that is wished.
  function near(k, lr) {
    const own = stories.get(now.story).rules[k][1];
    const apart = lab.baked.rates.map((times) => Math.abs(Math.log((own * times) / lr)));
    const j = apart.indexOf(Math.min(...apart));
    return [j, Number((own * lab.baked.rates[j]).toPrecision(3))];
  }

  function take(found, entries, asked) {
    paths = found.map((path, k) => Object.assign(path, { index: k, k: entries[k].k ?? k, shown: entries[k].shown }));
    entries.forEach((one, k) => (one.path = paths[k]));
    map.walk(paths, asked.start);
    player.length(asked.steps);
    lines();
    player.to(player.t);
    for (const one of entries) one.told && (one.told.textContent = told(one.path));
    say(entries.map((one) => `${one.rule}: ${told(one.path)}`).join("; "), 900);
  }

  function lines() {
    const shown = paths.filter((path) => path.shown);
    chart.show(shown.map((path) => ({ key: `${path.rule} ${path.index}`, k: path.k, values: path.heights })), player.steps);
  }

  function told(path) {
    const as = path.stepped_as ? `a point is no matrix: steps as ${path.stepped_as}; ` : "";
    if (path.diverged != null) return `${as}diverged at step ${path.diverged}`;
    if (path.reached != null) return `${as}there at step ${path.reached}`;
    return `${as}${path.left != null ? "left the map" : "not there"} after ${path.steps}`;
  }

  // ------------------------------------------------------------------ what is shown

  function showRules() {
    rows.replaceChildren(...now.rules.map((one, k) => row(one, k)));
    stateOf.replaceChildren(
      h("option", { value: "-1" }, "hidden"), h("option", { value: "-2" }, "of all rules"),
      ...now.rules.map(({ rule }, k) => h("option", { value: String(k) }, `of ${label(k)}`)));
    if (map.state >= now.rules.length) map.state = -1;
    stateOf.value = String(map.state);
    add.disabled = now.rules.length >= MOST;
    touched();
  }

  function changedRules() {
    showRules();
    return again();
  }

  const label = (k) => {
    const { rule, lr } = now.rules[k];
    return now.rules.some((other, j) => j !== k && other.rule === rule) ? `${rule}, ${short(lr)}` : rule;
  };

  function row(one, k) {
    const toggle = h("button", { type: "button", class: "toggle-rule", "aria-pressed": String(one.shown), title: about.get(one.rule)?.about || "",
      onclick: () => {
        one.shown = !one.shown;
        toggle.setAttribute("aria-pressed", String(one.shown));
        toggle.parentElement.classList.toggle("off", !one.shown);
        if (one.path) one.path.shown = one.shown;
        lines();
        map.draw(player.t);
        lab.changed();
      } }, swatch(k), h("span", { class: "name" }, one.rule));
    one.told = h("span", { class: "told-of" }, one.path ? told(one.path) : "");
    one.value = h("span", { class: "value", "aria-hidden": "true" });
    const parts = [toggle, one.value];
    if (one.lr != null) {
      one.slider = rateSlider(`Rate of ${label(k)}`, one.lr, (lr) => {
        one.lr = lr;
        if (lab.baked) {
          [one.j, one.lr] = near(one.k, lr);
          one.slider.set(one.lr);
        }
        touched();
        player.pause();
        player.t = player.steps;
        walk(performance.now());
      });
      parts.push(one.slider.element);
    } else parts.push(h("span", { class: "slider none" }, "finds its own rate"));
    parts.push(one.told);
    parts.push(button("×", () => {
      if (now.rules.length > 1) { now.rules.splice(k, 1); changedRules(); }
    }, { class: "remove plain", "aria-label": `Remove ${label(k)}` }));
    return h("div", { class: `rule${one.shown ? "" : " off"}` }, parts);
  }

  let last = 0;
  // The numbers beside the rules, ten times a second.
  function values(t, at_once = false) {
    const time = performance.now();
    if (player.playing && !at_once && time - last < 100 && t < player.steps) return;
    last = time;
    for (const { path, value } of now.rules) {
      if (!path || !value) continue;
      const at = Math.min(Math.floor(t), path.steps);
      const text = path.diverged != null && at >= path.diverged ? "∞" : short(path.heights[at]);
      if (value.textContent !== text) value.textContent = text;
    }
    state(t);
  }

  function state(t) {
    const path = map.state >= 0 ? paths[map.state] : null;
    if (!path) {
      if (map.state === -2) return numbersOf.replaceChildren(key());
      return numbersOf.replaceChildren();
    }
    const k = Math.max(0, Math.min(Math.floor(t), path.steps - 1));
    const pair = (values, at, power = 1) => [values[2 * at], values[2 * at + 1]].map((x) => short(power === 1 ? x : Math.sqrt(Math.max(x, 0))));
    const lines = [
      ["gradient g", ...pair(path.slopes, k)],
      path.average && [`${path.m}, average`, ...pair(path.average, k + 1)],
      path.spread && [`√${path.v}`, ...pair(path.spread, k + 1, 0.5)],
      ["step", short(path.points[2 * k + 2] - path.points[2 * k]), short(path.points[2 * k + 3] - path.points[2 * k + 1])],
      ["effective rate", ...pair(path.rates, k)],
    ].filter(Boolean);
    numbersOf.replaceChildren(key(path), h("table", {}, h("caption", {}, `${path.rule}, step ${k + 1}`),
      h("thead", {}, h("tr", {}, ["", "x", "y"].map((word) => (word ? h("th", { scope: "col" }, word) : h("td"))))),
      h("tbody", {}, lines.map(([name, a, b]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, a), h("td", {}, b))))));
  }

  function key(path) {
    const words = ["→ the step", "⇢ m, the average of gradients", "◌ √v, how large they have been", "⋯ against the gradient"];
    const has = [true, !path || path.average, !path || path.spread, true];
    return h("p", { class: "hint" }, `${words.filter((_, k) => has[k]).join(" · ")}. Drawn are roots of lengths, against the longest of the path.`);
  }

  // ------------------------------------------------------------------ stories and links

  function touched() {
    if (now.story) {
      const one = stories.get(now.story);
      const same = one.surface === now.surface && one.steps === now.steps && !now.noise && `${one.start}` === `${now.start}`
        && JSON.stringify(one.rules.map(([rule, lr]) => [rule, about.get(rule)?.lr == null ? null : lr])) === JSON.stringify(now.rules.map(({ rule, lr }) => [rule, lr]));
      sentence.classList.toggle("changed", !same);
      for (const pill of pills.children) pill.setAttribute("aria-pressed", String(same && pill.value === now.story));
      reset.hidden = same;
    }
    lab.changed();
  }
  const reset = button("as it was", () => tell(now.story), { class: "plain reset", hidden: true });
  sentence.after(reset);

  async function moved(start) { now.start = start; touched(); await again(); }
  function again() { return player.after(walk()); }

  async function ground(name) {
    if (map.surface?.name === name) return;
    const { head, floats } = await numbers("surfaces/ground", { surface: name });
    map.paths = [];
    map.show(surfaces.get(name), { bands: head.bands, points: floats });
  }

  async function tell(name) {
    const one = stories.get(name);
    const rules = one.rules.map(([rule, lr], k) => entry(rule, lr, true, k));
    await player.after(set({ ...one, story: name, noise: 0, seed: 0, rules }));
  }

  async function set(next) {
    await guarded(async () => {
      player.pause();
      Object.assign(now, { surface: next.surface, start: [...next.start], steps: next.steps, noise: next.noise, seed: next.seed,
        story: next.story, rules: next.rules });
      await ground(now.surface);
      const told = stories.get(now.story);
      title.textContent = told?.title || surfaces.get(now.surface).title;
      const text = surfaces.get(now.surface).formula;
      sentence.textContent = told?.sentence || surfaces.get(now.surface).story;
      formula.textContent = text ? `f(x, y) = ${text}` : "";
      [startX.value, startY.value] = now.start.map(String);
      steps.value = String(now.steps);
      noise.value = String(now.noise);
      seed.value = String(now.seed);
      all.set(now.rules.find(({ lr }) => lr != null)?.lr ?? 0.1);
      map.start = now.start;
      map.canvas.setAttribute("aria-label", `Map of ${surfaces.get(now.surface).title}. Arrow keys move the start, with shift farther; space plays, comma and full stop step.`);
      player.t = player.steps;
      showRules();
      await walk();
    });
  }

  async function guarded(work) {
    try { trouble(""); await work(); }
    catch (error) { trouble(error.message); }
  }

  lab.onTheme.push(() => {
    if (!map.surface) return;
    map.fit(true);
    rows.replaceChildren(...now.rules.map((one, k) => row(one, k)));
    lines();
    values(player.t, true);
  });

  if (lab.baked) {
    for (const one of [add, tune, startX, startY, steps, noise, seed, stateOf]) (one.closest(".field") || one).hidden = true;
    root.querySelectorAll(".choose h3").forEach((one, k) => (one.hidden = k > 0));
    map.hint.textContent = "one start a story; `descend lab` takes any";
  }

  const state_ = () => ({
    story: now.story,
    surface: now.surface,
    start: now.start.join(","),
    steps: now.steps,
    noise: now.noise || "",
    seed: now.seed || "",
    rules: now.rules.map(({ rule, lr, shown }) => `${shown ? "" : "!"}${rule}${lr == null ? "" : `:${lr}`}`).join(","),
    t: player.playing || player.t >= player.steps ? "" : Math.floor(player.t),
    state: map.state === -1 ? "" : map.state,
  });

  async function restore(said) {
    if (JSON.stringify(clean(said)) === JSON.stringify(clean(state_())) && now.surface) return;
    if (lab.baked) return tell(stories.has(said.story) ? said.story : "saddle");
    if (!said.surface) return now.surface ? undefined : tell(stories.has(said.story) ? said.story : "saddle");
    const number_ = (text, otherwise, low, high) => {
      const found = Number(text);
      return text && Number.isFinite(found) ? Math.min(Math.max(found, low), high) : otherwise;
    };
    const surface = surfaces.get(said.surface) || surfaces.values().next().value;
    const start = (said.start || "").split(",").map(Number);
    const rules = (said.rules || "").split(",").filter(Boolean).slice(0, MOST).map((text) => {
      const [name, lr] = text.replace(/^!/, "").split(":");
      return about.has(name) ? entry(name, number_(lr, surface.lr, 0, 1e4), !text.startsWith("!")) : null;
    }).filter(Boolean);
    map.state = Math.round(number_(said.state, -1, -2, MOST));
    const there = set({
      surface: surface.name,
      start: start.length === 2 && start.every(Number.isFinite) ? start : surface.start,
      steps: Math.round(number_(said.steps, surface.steps, 1, 2000)),
      noise: number_(said.noise, 0, 0, 1000),
      seed: Math.round(number_(said.seed, 0, 0, 1e6)),
      story: stories.has(said.story) ? said.story : "",
      rules: rules.length ? rules : surface.rules.map((rule) => entry(rule, surface.lr)),
    });
    if (!said.t) return player.after(there);
    await there;
    player.to(number_(said.t, player.steps, 0, player.steps));
  }
  const clean = (state) => Object.fromEntries(Object.entries(state).filter(([, v]) => v !== "").map(([a, b]) => [a, String(b)]).sort());

  Object.assign(globalThis.__lab, { surfaces: { now, map, player, chart, paths: () => paths } });
  return {
    state: state_,
    restore,
    hidden: () => player.pause(),
    shown: () => { map.fit(); chart.fit(); },
  };
}

const round = (value) => Number(value.toPrecision(4));

function families(rules) {
  const found = new Map();
  for (const one of rules) {
    if (!found.has(one.family)) found.set(one.family, []);
    found.get(one.family).push(one.name);
  }
  return [...found].map(([family, names]) => [family.replaceAll("_", " "), names]);
}
