// Heights by step, on uPlot: logarithmic, one line a rule, with the step of now on it.

import { css, h } from "./dom.js";
import { colour, dash } from "./widgets.js";

const FLOOR = 1e-12;

export class Chart {
  // `label`: of the values. `onpick(t)`: the reader points at a step.
  constructor(label, onpick) {
    this.label = label;
    this.onpick = onpick;
    this.place = h("div", { class: "plot" });
    this.now = h("div", { class: "now", hidden: true });
    const head = h("p", { class: "chart-head", "aria-hidden": "true" }, label);
    this.element = h("div", { class: "chart-box", role: "img", "aria-label": label }, head, this.place);
    this.keys = "";
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  fit() {
    const width = this.element.clientWidth;
    if (this.plot && width && Math.abs(width - this.plot.width) > 1) {
      this.plot.setSize({ width, height: this.height() });
      this.at(this.t);
    }
  }

  height() { return this.element.clientWidth < 480 ? 170 : 200; }

  // `lines`: {key, k, values}, one value a step from 0 on; null where there is none.
  show(lines, steps) {
    const x = Float64Array.from({ length: steps + 1 }, (_, t) => t);
    let low = Infinity, high = FLOOR * 10;
    const ys = lines.map(({ values }) => Array.from(x, (_, t) => {
      const y = t < values.length ? values[t] : null;
      if (y == null) return null;
      const kept = Math.max(y, FLOOR);
      if (y > FLOOR && kept < low) low = kept;
      return kept;
    }));
    for (const { values } of lines) {
      // an explosion is shown for a while, not to its end: the others would be flat below it
      const most = Math.max(values[0], FLOOR) * 1e3;
      for (const y of values) if (y > high) high = Math.min(y, most);
    }
    low = Number.isFinite(low) ? Math.min(low, high / 10) / 2 : FLOOR;
    this.span = [low, high * 2];
    const data = [x, ...ys.map((values) => values.map((y) => (y == null ? null : Math.min(Math.max(y, low), high * 100))))];
    const keys = JSON.stringify([lines.map(({ key, k }) => [key, k]), css("--ink")]);
    if (keys !== this.keys || !this.plot) this.make(lines, data);
    else this.plot.setData(data);
    this.keys = keys;
    this.at(this.t ?? steps);
  }

  make(lines, data) {
    this.plot?.destroy();
    const quiet = css("--quiet"), rule = css("--rule");
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: quiet, font, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule, width: 1, size: 4 } };
    this.plot = new uPlot({
      width: this.element.clientWidth || 300,
      height: this.height(),
      legend: { show: false },
      cursor: { show: true, x: false, y: false, points: { show: false }, drag: { x: false, y: false, setScale: false } },
      scales: { x: { time: false, range: (u, a, b) => [0, Math.max(b, 1)] }, y: { distr: 3, range: () => this.span } },
      axes: [
        { ...axis, size: 26, gap: 3 },
        { ...axis, size: 52, splits: powers, filter: (u, ticks) => ticks, values: (u, ticks) => ticks.map((v) => v.toExponential(0).replace("e+", "e")) },
      ],
      series: [{}, ...lines.map(({ k }) => ({ stroke: colour(k), width: 1.8, dash: dash(k), points: { show: false }, spanGaps: false }))],
    }, data, this.place);
    const over = this.plot.over;
    over.append(this.now);
    const pick = (event) => {
      const box = over.getBoundingClientRect();
      this.onpick(Math.round(this.plot.posToVal(event.clientX - box.left, "x")));
    };
    over.addEventListener("pointerdown", (event) => { over.setPointerCapture(event.pointerId); pick(event); });
    over.addEventListener("pointermove", (event) => event.buttons && pick(event));
  }

  at(t) {
    this.t = t;
    if (!this.plot) return;
    this.now.hidden = false;
    this.now.style.transform = `translateX(${this.plot.valToPos(t, "x").toFixed(1)}px)`;
  }
}

// Powers of ten for the axis, at most five of them.
function powers(u, axis, low, high) {
  const first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high));
  const every = Math.max(1, Math.ceil((last - first + 1) / 5));
  return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, k) => 10 ** (first + k * every));
}
