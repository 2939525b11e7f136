// The beginning of an exported file: unpacks what it carries, then begins as the page does.

(async () => {
  const held = globalThis.descendBaked;
  const packed = Uint8Array.from(atob(held.data), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  held.pieces = new Map(held.index.map(([key, kind, from, to]) => {
    const piece = bytes.slice(from, to);
    return [key, { kind, piece: kind === "rows" ? piece : new TextDecoder().decode(piece) }];
  }));
  const run = (type, text) => document.head.append(Object.assign(document.createElement("script"), { type, textContent: text }));
  const of = (kind) => [...held.pieces].filter(([, one]) => one.kind === kind).map(([key, { piece }]) => [key, piece]);
  for (const [, text] of of("script")) run("", text);
  // modules of one file cannot import each other by address, so each becomes a data: address
  const imports = of("module").map(([key, text]) => [key, `data:text/javascript,${encodeURIComponent(text)}`]);
  run("importmap", JSON.stringify({ imports: Object.fromEntries(imports) }));
  await import("lab/lab.js");
})();
