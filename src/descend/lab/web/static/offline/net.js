// In place of `net.js` in an exported file: what was asked of the library when the file was written.

const held = globalThis.descendBaked;
const answers = new Map();

export class Refused extends Error {}

async function read() {
  const packed = Uint8Array.from(atob(held.data), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  for (const [key, [kind, from, to]] of Object.entries(held.index)) {
    const piece = bytes.slice(from, to);
    answers.set(key, kind === "json" ? JSON.parse(new TextDecoder().decode(piece)) : piece);
  }
}
const ready = read();

async function answer(path, body) {
  await ready;
  const key = [path, ...Object.values(body || {})].join(" ");
  if (!answers.has(key)) throw new Refused("This file holds the stories as they are told; `descend lab` computes everything else.");
  return answers.get(key);
}

export const baked = { rates: held.rates };
export const post = answer;

export async function numbers(path, body) {
  const buffer = await answer(path, body);
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return path === "surfaces/paths" ? walked(head, buffer, 4 + length) : { head, floats: new Float32Array(buffer, 4 + length) };
}

// Places of two bytes and half floats, as `bake.py` writes them, into what the server would send.
function walked(head, buffer, at) {
  const n = head.steps + 1;
  const places = new Uint16Array(buffer, at, 2 * n), logs = new Uint16Array(buffer, at + 4 * n, n);
  const floats = new Float32Array(3 * n);
  for (let k = 0; k < 2 * n; k++) floats[k] = (places[k] / 65535) * 3 - 1; // shares of the map
  for (let k = 0; k < n; k++) floats[2 * n + k] = 10 ** half(logs[k]);
  return { head, floats };
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, power = (bits >> 10) & 31, part = bits & 1023;
  return sign * (power ? 2 ** (power - 15) * (1 + part / 1024) : 2 ** -14 * (part / 1024));
}

export const watch = () => { throw new Refused("nothing runs in a file"); };
export const stop = watch;
