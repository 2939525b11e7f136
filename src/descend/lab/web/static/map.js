// A surface from above, on canvas: heights as bands, trails that grow, marks, and the state of a rule as arrows.

import { css, h } from "./dom.js";
import { colour, dash, mark, sign } from "./widgets.js";

const ARROW = 64; // pixels of the longest arrow of a path
const ELLIPSE = 40;

export class MapView {
  // `onstart(x, y, dragging)`: the reader has put the start there.
  constructor(onstart) {
    this.onstart = onstart;
    this.canvas = h("canvas", { class: "map", tabIndex: 0, role: "application", "aria-roledescription": "map",
      "aria-label": "Map. Arrow keys move the start; space plays." });
    this.hint = h("p", { class: "map-hint" }, "click or drag: drop the start");
    this.element = h("div", { class: "map-box" }, this.canvas, this.hint);
    this.context = this.canvas.getContext("2d");
    this.paths = [];
    this.state = -1; // the path whose state is drawn; -1: none, -2: all
    this.t = 0;
    this.listen();
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  listen() {
    let moved = null;
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [this.dataX(event.clientX - box.left), this.dataY(event.clientY - box.top)];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.hint.hidden = true;
      moved = at(event);
      this.onstart(...moved, true);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (moved === null) return;
      moved = at(event);
      this.onstart(...moved, true);
    });
    const end = () => {
      if (moved !== null) this.onstart(...moved, false);
      moved = null;
    };
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by || !this.surface) return;
      event.preventDefault();
      const [[left, right], [low, high]] = this.surface.frame;
      const share = event.shiftKey ? 0.1 : 0.01;
      const [x, y] = this.start;
      this.onstart(Math.min(Math.max(x + by[0] * share * (right - left), left), right),
        Math.min(Math.max(y + by[1] * share * (high - low), low), high), false);
    });
  }

  // `ground`: {bands: counts of the points of each ring, points}.
  show(surface, ground) {
    this.surface = surface;
    this.ground = ground;
    this.fit(true);
  }

  fit(anew = false) {
    const width = this.element.clientWidth;
    if (!width || !this.surface) return;
    const height = Math.round(Math.min(Math.max(width * 0.6, 250), Math.max(innerHeight * 0.48, 300)));
    const scale = Math.min(2, devicePixelRatio || 1);
    if (!anew && width === this.width && height === this.height && scale === this.scale) return;
    Object.assign(this, { width, height, scale });
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.height = `${height}px`;
    this.paint();
    this.place();
    this.draw(this.t);
  }

  x(value) { const [[left, right]] = this.surface.frame; return ((value - left) / (right - left)) * this.width; }
  y(value) { const [, [low, high]] = this.surface.frame; return (1 - (value - low) / (high - low)) * this.height; }
  dataX(pixel) { const [[left, right]] = this.surface.frame; return left + (pixel / this.width) * (right - left); }
  dataY(pixel) { const [, [low, high]] = this.surface.frame; return low + (1 - pixel / this.height) * (high - low); }

  // The ground, once for a size and a theme.
  paint() {
    const back = (this.back = document.createElement("canvas"));
    back.width = this.canvas.width;
    back.height = this.canvas.height;
    const context = back.getContext("2d");
    context.scale(this.scale, this.scale);
    context.fillStyle = css("--paper");
    context.fillRect(0, 0, this.width, this.height);
    context.fillStyle = css("--ground");
    context.strokeStyle = css("--ground");
    context.lineWidth = 0.7;
    let at = 0;
    const { bands, points } = this.ground;
    for (const counts of bands) {
      context.beginPath();
      for (const count of counts) {
        for (let k = 0; k < count; k++, at += 2) {
          context[k ? "lineTo" : "moveTo"](this.x(points[at]), this.y(points[at + 1]));
        }
        context.closePath();
      }
      context.globalAlpha = 0.062;
      context.fill("evenodd");
      context.globalAlpha = 0.3;
      context.stroke();
    }
    context.globalAlpha = 1;
    this.axes(context);
    for (const [x, y] of this.surface.minima) this.star(context, this.x(x), this.y(y));
  }

  axes(context) {
    const [[left, right], [low, high]] = this.surface.frame;
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = css("--ink");
    context.strokeStyle = css("--paper");
    context.lineWidth = 3;
    context.lineJoin = "round";
    const word = (text, x, y) => { context.strokeText(text, x, y); context.fillText(text, x, y); };
    const round = (a, b) => {
      const raw = (b - a) / 5, power = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
      const found = [];
      for (let v = Math.ceil(a / step) * step; v < b; v += step) found.push(Number(v.toPrecision(6)));
      return found;
    };
    context.textAlign = "center";
    for (const v of round(left, right)) if (this.x(v) > 30 && this.x(v) < this.width - 20) word(String(v), this.x(v), this.height - 7);
    context.textAlign = "left";
    for (const v of round(low, high)) if (this.y(v) > 16 && this.y(v) < this.height - 24) word(String(v), 6, this.y(v) + 4);
  }

  star(context, x, y) {
    context.beginPath();
    for (let k = 0; k < 10; k++) {
      const r = k % 2 ? 3.4 : 8, a = (Math.PI * k) / 5 - Math.PI / 2;
      context[k ? "lineTo" : "moveTo"](x + r * Math.cos(a), y + r * Math.sin(a));
    }
    context.closePath();
    context.fillStyle = css("--paper");
    context.strokeStyle = css("--ink");
    context.lineWidth = 1.6;
    context.fill();
    context.stroke();
  }

  // `paths`: {k, shown, points, left, exit, steps, …}, as the server told them.
  walk(paths, start) {
    this.paths = paths;
    this.start = start;
    if (this.width) this.place();
  }

  // Where every step lies in pixels; a path that has left ends at the edge.
  place() {
    for (const path of this.paths) {
      const count = path.left == null ? path.steps + 1 : Math.max(path.left, 0);
      const pixels = (path.pixels = new Float32Array(2 * (count + (path.left == null ? 0 : 1))));
      for (let k = 0; k < count; k++) {
        pixels[2 * k] = this.x(path.points[2 * k]);
        pixels[2 * k + 1] = this.y(path.points[2 * k + 1]);
      }
      if (path.left != null) {
        pixels[2 * count] = this.x(path.exit[0]);
        pixels[2 * count + 1] = this.y(path.exit[1]);
      }
      path.tint = colour(path.k);
    }
    this.ink = css("--ink");
    this.paper = css("--paper");
  }

  // Everything at step t, which may lie between two.
  draw(t) {
    this.t = t;
    if (!this.back) return;
    const context = this.context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.back, 0, 0);
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    context.lineJoin = "round";
    const shown = this.paths.filter((path) => path.shown);
    for (const path of shown) this.trail(context, path, t);
    for (const path of shown) {
      if (this.state === path.index || this.state === -2) this.arrows(context, path, t);
    }
    for (const path of shown) this.head(context, path, t);
    if (this.start) this.origin(context);
  }

  trail(context, path, t) {
    const { pixels } = path;
    const last = pixels.length / 2 - 1;
    const upto = Math.min(t, last), whole = Math.floor(upto), part = upto - whole;
    context.strokeStyle = path.tint;
    context.lineWidth = 2;
    context.setLineDash(dash(path.k));
    context.globalAlpha = 0.9;
    context.beginPath();
    let x = pixels[0], y = pixels[1];
    context.moveTo(x, y);
    for (let k = 1; k <= whole; k++) {
      const u = pixels[2 * k], v = pixels[2 * k + 1];
      if (k < whole && Math.abs(u - x) + Math.abs(v - y) < 0.8) continue; // nobody can see it
      context.lineTo((x = u), (y = v));
    }
    if (part > 0 && whole < last) {
      x = pixels[2 * whole] + part * (pixels[2 * whole + 2] - pixels[2 * whole]);
      y = pixels[2 * whole + 1] + part * (pixels[2 * whole + 3] - pixels[2 * whole + 1]);
      context.lineTo(x, y);
    } else { x = pixels[2 * whole]; y = pixels[2 * whole + 1]; }
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
    path.head = [x, y];
  }

  head(context, path, t) {
    const [x, y] = path.head;
    if (path.left != null && t >= path.left) {
      context.strokeStyle = path.tint;
      context.lineWidth = 2.6;
      context.beginPath();
      context.moveTo(x - 5, y - 5); context.lineTo(x + 5, y + 5);
      context.moveTo(x - 5, y + 5); context.lineTo(x + 5, y - 5);
      context.stroke();
      const right = x > this.width / 2, text = `step ${path.left}`;
      context.font = "600 12px system-ui, sans-serif";
      context.textAlign = right ? "right" : "left";
      context.lineWidth = 3;
      context.strokeStyle = this.paper;
      const place = [x + (right ? -10 : 10), Math.min(Math.max(y + (y < this.height / 2 ? 16 : -8), 14), this.height - 6)];
      context.strokeText(text, ...place);
      context.fillStyle = path.tint;
      context.fillText(text, ...place);
      return;
    }
    sign(context, mark(path.k), x, y, 1.25);
    context.fillStyle = path.tint;
    context.strokeStyle = this.paper;
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
  }

  origin(context) {
    context.beginPath();
    context.arc(this.x(this.start[0]), this.y(this.start[1]), 6.5, 0, 7);
    context.strokeStyle = this.paper;
    context.lineWidth = 4;
    context.stroke();
    context.strokeStyle = this.ink;
    context.lineWidth = 2;
    context.stroke();
  }

  // The state behind the coming step: against the gradient, the average m, the spread √v, and the step they make.
  arrows(context, path, t) {
    if (path.left != null && t >= path.left) return;
    const k = Math.min(Math.floor(t), path.steps - 1);
    if (k < 0) return;
    const [x, y] = path.head;
    const part = (values, at, by = 1) => [by * values[2 * at] * this.perX, -by * values[2 * at + 1] * this.perY];
    const { frame: [[left, right], [low, high]] } = this.surface;
    this.perX = this.width / (right - left);
    this.perY = this.height / (high - low);
    path.longest ??= {};
    const scaled = (name, [u, v], count, vector) => {
      path.longest[name] ??= largest(count, vector);
      const size = Math.hypot(u, v);
      const length = ARROW * Math.sqrt(Math.min(1, size / (path.longest[name] || 1)));
      return size ? [(u / size) * length, (v / size) * length] : [0, 0];
    };
    if (path.spread) {
      path.longest.v ??= Math.max(...path.spread.map((v) => Math.sqrt(Math.max(v, 0)))) || 1;
      const at = Math.min(k + 1, path.steps);
      context.beginPath();
      context.ellipse(x, y, Math.max(1, (ELLIPSE * Math.sqrt(Math.max(path.spread[2 * at], 0))) / path.longest.v),
        Math.max(1, (ELLIPSE * Math.sqrt(Math.max(path.spread[2 * at + 1], 0))) / path.longest.v), 0, 0, 7);
      context.fillStyle = path.tint;
      context.globalAlpha = 0.16;
      context.fill();
      context.globalAlpha = 0.8;
      context.strokeStyle = path.tint;
      context.lineWidth = 1;
      context.setLineDash([2, 2]);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    }
    const slope = (at) => part(path.slopes, at, -1);
    this.arrow(context, x, y, scaled("g", slope(k), path.steps, slope), this.ink, [1.5, 2.5], 1.6);
    if (path.average) {
      const average = (at) => part(path.average, at, path.sign);
      this.arrow(context, x, y, scaled("m", average(k + 1), path.steps + 1, average), path.tint, [5, 3], 2);
    }
    const step = (at) => [
      (path.points[2 * at + 2] - path.points[2 * at]) * this.perX,
      -(path.points[2 * at + 3] - path.points[2 * at + 1]) * this.perY,
    ];
    this.arrow(context, x, y, scaled("step", step(k), path.steps, step), path.tint, [], 3);
  }

  arrow(context, x, y, [u, v], tint, dashes, width) {
    const length = Math.hypot(u, v);
    if (length < 3) return;
    const back = Math.min(9, length * 0.5), a = Math.atan2(v, u);
    for (const [stroke, more] of [[this.paper, 2.5], [tint, 0]]) {
      context.strokeStyle = context.fillStyle = stroke;
      context.lineWidth = width + more;
      context.setLineDash(more ? [] : dashes);
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x + u - back * 0.7 * Math.cos(a), y + v - back * 0.7 * Math.sin(a));
      context.stroke();
      context.setLineDash([]);
      context.beginPath();
      context.moveTo(x + u, y + v);
      context.lineTo(x + u - back * Math.cos(a - 0.42), y + v - back * Math.sin(a - 0.42));
      context.lineTo(x + u - back * Math.cos(a + 0.42), y + v - back * Math.sin(a + 0.42));
      context.closePath();
      context.fill();
    }
  }
}

function largest(count, vector) {
  let most = 0;
  for (let k = 0; k < count; k++) {
    const size = Math.hypot(...vector(k));
    if (size > most && Number.isFinite(size)) most = size;
  }
  return most;
}
