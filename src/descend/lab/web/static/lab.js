// The frame of the page: which tab is shown, what the link says, light or dark.

import { h, trouble } from "./dom.js";
import { baked } from "./net.js";

const panels = new Map([...document.querySelectorAll("[role=tabpanel]")].map((one) => [one.id.slice(6), one]));
const links = new Map([...document.querySelectorAll("[role=tab]")].map((one) => [one.id.slice(4), one]));
const built = new Map();
let now = "";

function parsed() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { name: panels.has(name) ? name : panels.keys().next().value, state: Object.fromEntries(new URLSearchParams(query)) };
}

function link(name) {
  const state = built.get(name)?.state?.() || {};
  const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value !== "" && value != null));
  const text = query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return `#${name}${text ? `?${text}` : ""}`;
}

let writing = 0;
const lab = {
  baked,
  // The link is brought up to date when nothing has changed for a moment: browsers limit how often.
  changed() {
    clearTimeout(writing);
    writing = setTimeout(() => now && history.replaceState(null, "", link(now)), 250);
  },
  // A link that restores all of this; the key is not in it, for the door at / knows it.
  link: () => (baked ? location.href.split("#")[0] : `${location.origin}/`) + link(now),
  go: (name) => (location.hash = `#${name}`),
  onTheme: [],
};

async function show() {
  const { name, state } = parsed();
  if (name !== now) {
    built.get(now)?.hidden?.();
    for (const [each, panel] of panels) {
      panel.hidden = each !== name;
      links.get(each).setAttribute("aria-selected", String(each === name));
      links.get(each).tabIndex = each === name ? 0 : -1;
    }
    now = name;
    document.title = `${links.get(name).textContent} · descend lab`;
    trouble("");
  }
  try {
    if (panels.get(name).querySelector("[data-offline]")) built.set(name, {});
    if (!built.has(name)) {
      const module = await import(`./tabs/${name}.js`);
      const root = h("div", { class: `tab ${name}` });
      panels.get(name).append(root);
      built.set(name, (await module.build(root, lab)) || {});
    }
    if (now !== name) return;
    await built.get(name).restore?.(state);
    built.get(name).shown?.();
    document.documentElement.dataset.ready = name;
  } catch (error) {
    trouble(error.message);
    throw error;
  }
}

for (const [name, one] of links) {
  one.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const names = [...links.keys()];
    const next = names[(names.indexOf(name) + step + names.length) % names.length];
    links.get(next).focus();
    location.hash = link(next);
    event.preventDefault();
  });
  one.addEventListener("click", (event) => {
    event.preventDefault();
    if (name !== now) location.hash = link(name);
  });
}
addEventListener("hashchange", show);
document.getElementById("lab").addEventListener("change", () => lab.changed());

function theme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  for (const told of lab.onTheme) told();
}
const dark = () => document.documentElement.dataset.theme === "dark"
  || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
document.getElementById("theme").addEventListener("click", () => {
  const chosen = dark() ? "light" : "dark";
  try { localStorage.setItem("descend-theme", chosen); } catch { /* a browser that keeps nothing */ }
  theme(chosen);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme(""));
try {
  theme(localStorage.getItem("descend-theme") || "");
  if (!baked) localStorage.setItem("descend-lab", location.pathname.split("/")[1]);
} catch { /* a browser that keeps nothing */ }

globalThis.__lab = { lab, built, drags: [], frames: [] };
show();
