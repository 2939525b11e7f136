// Elements without markup: what stands in them is text, so nothing that a file or a person names can become a script.

export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && !name.startsWith("aria") && name !== "list") made[name] = value;
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

let waiting = 0;
// Tell those who do not see it, when it has settled.
export function say(text, after = 500) {
  clearTimeout(waiting);
  waiting = setTimeout(() => (document.getElementById("said").textContent = text), after);
}

export function trouble(text) {
  const place = document.getElementById("trouble");
  place.textContent = text || "";
  place.hidden = !text;
}

// Blocks of a report, which this program has written and escaped; what the reader has chosen in the old ones stays.
export function blocks(place, html) {
  const chosen = [...place.querySelectorAll("input:checked")].map((one) => one.id);
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  place.innerHTML = html;
  for (const id of chosen) {
    const one = place.querySelector(`#${CSS.escape(id)}`);
    if (one) one.checked = true;
  }
  place.querySelectorAll("details").forEach((one, k) => (one.open = !!open[k]));
}

// A number as people write it: 0.05, 1e-5.
export function short(value, digits = 3) {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(digits)));
  return value.toExponential(Math.max(0, digits - 1)).replace(/\.?0+e/, "e").replace("e+", "e");
}
