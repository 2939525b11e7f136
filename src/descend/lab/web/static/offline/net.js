// In place of `net.js` in an exported file: what was asked of the library when the file was written.

const held = globalThis.descendBaked;
const answers = new Map();

export class Refused extends Error {}

const holds = { "surfaces/paths": paths, "surfaces/ground": grounds };
for (const [key, { kind, piece }] of held.pieces) {
  if (kind === "json") answers.set(key, JSON.parse(piece));
  if (kind === "rows") holds[key](rows(piece));
}

async function answer(path, body) {
  const key = [path, ...Object.values(body || {})].join(" ");
  if (!answers.has(key)) throw new Refused("This file holds the stories as they are told; `descend lab` computes everything else.");
  return answers.get(key);
}

export const baked = { rates: held.rates };
export const post = answer;
export const numbers = answer;

// Rows of whole numbers out of their differences, as `bake.py` writes them.
function rows(piece) {
  const length = new DataView(piece).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(piece, 4, length)));
  const bytes = new Uint8Array(piece, 4 + length), count = bytes.length / 2;
  let at = 0;
  const found = head.lengths.map((n, k) => {
    const row = new Uint16Array(n); // whose additions are modulo 65,536, as the differences are
    for (let t = 0, value = 0, slope = 0; t < n; t++, at++) {
      const coded = bytes[at] | (bytes[at + count] << 8);
      const change = coded & 1 ? -(coded + 1) / 2 : coded / 2;
      slope = head.orders[k] === "2" ? slope + change : change;
      row[t] = value += slope;
    }
    return row;
  });
  return { head, found };
}

// What the server would send: places (here shares of the map), then heights.
function paths({ head, found }) {
  const n = head.keys.length;
  head.keys.forEach((key, k) => {
    const [x, y, h] = [found[k], found[n + k], found[2 * n + k]];
    const floats = new Float32Array(3 * x.length);
    const share = (place) => (place / head.places) * (1 + 2 * head.room) - head.room;
    for (let t = 0; t < x.length; t++) {
      floats[2 * t] = share(x[t]);
      floats[2 * t + 1] = share(y[t]);
      floats[2 * x.length + t] = head.lowest * 10 ** (h[t] / head.decade);
    }
    answers.set(key, { head: head.heads[k], floats });
  });
}

function grounds({ head, found }) {
  const all = found.length / 2;
  let at = 0;
  head.keys.forEach((key, k) => {
    const [[x0, x1], [y0, y1]] = head.frames[k];
    const floats = [];
    for (const ring of head.bands[k].flat().keys()) {
      const x = found[at + ring], y = found[all + at + ring];
      for (let t = 0; t < x.length; t++) floats.push(x0 + ((x1 - x0) * x[t]) / head.steps, y0 + ((y1 - y0) * y[t]) / head.steps);
    }
    at += head.bands[k].flat().length;
    answers.set(key, { head: { bands: head.bands[k] }, floats: Float32Array.from(floats) });
  });
}

export const watch = () => { throw new Refused("nothing runs in a file"); };
export const stop = watch;
