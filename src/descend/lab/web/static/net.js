// What the page asks its server; addresses are relative to the key in the page's own address.

export const baked = null; // an exported file has `offline/net.js` instead, and something here

export class Refused extends Error {}

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body || {}),
    });
  } catch {
    throw new Refused("`descend lab` does not answer; it may have ended. Start it again and open the address it prints.");
  }
  if (answer.ok) return answer;
  let said = `${answer.status} ${answer.statusText}`;
  try {
    said = (await answer.json()).error || said;
  } catch {
    // not ours: the status must do
  }
  throw new Refused(said);
}

export async function post(path, body) {
  return (await ask(path, body)).json();
}

// {head, floats}, as `packed.py` writes it.
export async function numbers(path, body) {
  const buffer = await (await ask(path, body)).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { head, floats: new Float32Array(buffer, 4 + length) };
}

// Follow a job: `on(news)` with what it has told since. Returns what ends the watching.
export function watch(job, on) {
  const source = new EventSource(`api/jobs/${encodeURIComponent(job)}/events`);
  source.onmessage = (event) => on(JSON.parse(event.data));
  source.addEventListener("end", () => source.close());
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) on({ state: "lost" });
  };
  return () => source.close();
}

export const stop = (job) => post(`jobs/${encodeURIComponent(job)}/stop`);
