"""The page of `descend lab`: a local server that nobody but this computer's browser can talk to, and a tab per subject.

How a tab is added, for a subject called NAME:

1. `tabs/NAME.py` has `TAB = Tab(name, title, about, endpoints)`. An `Endpoint(path, answer, examples)` is reached by
   POST at `api/NAME/PATH`; `answer(lab, fields)` returns bytes or what JSON can say. It runs in a thread, and is quick.
2. It takes what it is asked from `fields` (`fields.number("lr", low=…, high=…)`, `.word`, `.whole`, `.point`, …), which
   refuses by name, as HTTP 400, what is missing, unknown or out of bounds; any ValueError is told in the same way.
3. What takes longer is `lab.jobs.begin(NAME, work)`: `job.js` makes the form that begins it, follows it and ends it.
4. `static/tabs/NAME.js` exports `build(root, lab)`, called once; it returns `{state(), restore(state), shown(),
   hidden()}`, each of which may be missing. `state()` goes into the link, from which `restore` gets it again;
   `lab.changed()` says that there is news for the link.
5. Widgets are in `static/` (`widgets.js`, `map.js`, `chart.js`, `player.js`), colours are CSS variables (`--s0`…,
   `--ink`). The policy is `default-src 'self'`: no inline script or style. `h("p", {class: …}, …)` makes elements.
6. NAME is added to `tabs.NAMES`. The fuzzer and the browser's tests (no console error, axe-core, 360 px) find it there.
"""
