// Time, shared by all that shows a step: play, pause, step, scrub.

import { h, still } from "./dom.js";
import { button, choice } from "./widgets.js";

const SECONDS = 6; // for all steps at speed 1

export class Player {
  constructor(onmove) {
    this.onmove = onmove;
    this.t = 0;
    this.steps = 1;
    this.playing = false;
    this.speed = 1;
    this.held = 0; // how often the reader has taken hold of the time
    this.range = h("input", { type: "range", min: "0", max: "1", step: "1", "aria-label": "Step", class: "scrub" });
    this.range.addEventListener("input", () => this.hold(Number(this.range.value)));
    this.said = h("output", { class: "step" });
    this.play_ = button("", () => this.toggle(), { class: "play", "aria-label": "Play" });
    const speed = choice([{ value: "0.25", label: "¼×" }, { value: "1", label: "1×" }, { value: "4", label: "4×" }], "1",
      (value) => (this.speed = Number(value)));
    speed.setAttribute("aria-label", "Speed");
    this.element = h("div", { class: "player", role: "group", "aria-label": "Time" },
      this.play_,
      button("«", () => this.hold(0), { "aria-label": "To the start", class: "plain" }),
      button("‹", () => this.step(-1), { "aria-label": "One step back", class: "plain" }),
      button("›", () => this.step(1), { "aria-label": "One step on", class: "plain" }),
      this.range, this.said, speed);
  }

  // New paths of so many steps: what is shown stays in proportion where it was at the end.
  length(steps) {
    const atEnd = this.t >= this.steps;
    this.steps = Math.max(1, steps);
    this.range.max = String(this.steps);
    this.t = atEnd ? this.steps : Math.min(this.t, this.steps);
  }

  to(t) {
    this.t = Math.min(Math.max(t, 0), this.steps);
    const whole = Math.floor(this.t);
    if (this.shown !== whole || this.of !== this.steps) {
      this.shown = whole;
      this.of = this.steps;
      this.range.value = String(whole);
      this.range.setAttribute("aria-valuetext", `step ${whole} of ${this.steps}`);
      this.said.textContent = `${whole} / ${this.steps}`;
    }
    this.onmove(this.t);
  }

  hold(t) { this.held += 1; this.pause(); this.to(t); }
  step(by) { this.hold(Math.round(this.t) + by); }
  toggle() { this.held += 1; this.playing ? this.pause() : this.play(); }

  play(fromStart = false) {
    if (fromStart || this.t >= this.steps) this.t = 0;
    if (this.playing) return;
    this.playing = true;
    this.play_.classList.add("playing");
    this.play_.setAttribute("aria-label", "Pause");
    let before = 0;
    const tick = (time) => {
      if (!this.playing) return;
      const begun = performance.now();
      if (before) {
        this.to(this.t + ((time - before) / 1000 / SECONDS) * this.steps * this.speed);
        const frames = globalThis.__lab.frames;
        frames.push(performance.now() - begun);
        if (frames.length > 2000) frames.splice(0, 1000);
      }
      before = time;
      if (this.t >= this.steps) return this.pause();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() {
    this.playing = false;
    this.play_.classList.remove("playing");
    this.play_.setAttribute("aria-label", "Play");
  }

  // As soon as there is something to see, unless the reader has asked for rest: then the end is shown.
  begin() { still() ? this.to(this.steps) : this.play(true); }

  // Begins when that is there, unless the reader has taken hold of the time meanwhile.
  async after(there) {
    const held = this.held;
    await there;
    if (this.held === held) this.begin();
  }
}
