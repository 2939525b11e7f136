"""How quick the page is, in Chromium: first paint, from the hand to the redrawn map, a frame of playing, bytes.

The server is a process of its own, as `descend lab` starts it. Drag: 8 rules × 500 steps, from the event of the pointer
to the last line drawn on map and chart. Frame: 12 rules, what the main thread spends from the start of a frame's
callback to its last line, and the time between frames.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from descend.lab.race.space import DEFAULT_RULES
from descend.lab.web.app import STATIC

BARS = {"first_paint_ms": 1000.0, "drag_ms": 100.0, "frame_ms": 16.0, "script_bytes": 300_000.0}
TWELVE = (*DEFAULT_RULES, "nadam", "adamax", "signum", "adadelta")


def link(rules: tuple[str, ...], lr: float = 0.001) -> str:
    chosen = ",".join(f"{rule}:{lr}" for rule in rules)
    return f"#surfaces?surface=rosenbrock&start=-1.2,1&steps=500&rules={chosen}"


def script_bytes() -> int:
    """Of every script that the page can load; an exported file's are others."""
    return sum(path.stat().st_size for path in STATIC.rglob("*.js") if "offline" not in path.parts)


@contextmanager
def opened() -> Iterator[tuple[Any, str]]:
    """Chromium, and the address of a lab in a process of its own.

    Raises: RuntimeError: no Chromium, or no Playwright.
    """
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise RuntimeError("this needs Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise RuntimeError("this needs Playwright: pip install 'descend[dev]'") from None
    command = [sys.executable, "-m", "descend", "lab", "--no-browser", "--json", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            yield browser, url
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def run(drags: int = 60) -> dict[str, Any]:
    with opened() as (browser, url):
        return _measured(browser, url, drags)


def picture(file: str) -> None:
    """The picture of docs/lab.md."""
    with opened() as (browser, url):
        page = browser.new_page(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
        page.goto(f"{url}#surfaces?story=basins")
        page.wait_for_selector("html[data-ready=surfaces]", timeout=60_000)
        page.wait_for_timeout(300)
        page.screenshot(path=file)
    with Image.open(file) as seen:  # in 256 colours it is as sharp and takes four tenths of the bytes
        few = seen.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def _measured(browser: Any, url: str, drags: int) -> dict[str, Any]:
    paints, ready = [], []
    for k in range(4):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}#surfaces?story=saddle")
        page.wait_for_selector("html[data-ready=surfaces]", timeout=60_000)
        if k:  # the first opening warms the server up
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            ready.append(page.evaluate("performance.now()"))
        page.close()
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.goto(url + link(DEFAULT_RULES))
    page.wait_for_selector("html[data-ready=surfaces]", timeout=60_000)
    box = page.locator("canvas.map").bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 3
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("__lab.drags.length = 0")
    for k in range(drags):
        page.mouse.move(x + 3 * k % 200, y + 2 * k % 120)
        page.wait_for_timeout(60)
    page.mouse.up()
    page.wait_for_timeout(500)
    moved = page.evaluate("__lab.drags")
    page.close()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url + link(TWELVE))
    page.wait_for_selector("html[data-ready=surfaces]", timeout=60_000)
    page.wait_for_timeout(300)
    page.evaluate("__lab.frames.length = 0; __lab.surfaces.player.play(true)")
    between = page.evaluate(
        "new Promise(done => { const at = []; const tick = t => { at.push(t); "
        "at.length < 150 ? requestAnimationFrame(tick) : done(at.slice(1).map((x, k) => x - at[k])) }; "
        "requestAnimationFrame(tick) })"
    )
    frames = page.evaluate("__lab.frames")
    page.close()
    return {
        "first_paint_ms": round(statistics.median(paints), 1),
        "ready_ms": round(statistics.median(ready), 1),
        "drag_ms": round(statistics.median(moved), 1),
        "drag_p95_ms": round(sorted(moved)[int(0.95 * len(moved))], 1),
        "drags": len(moved),
        "frame_ms": round(statistics.median(frames), 2),
        "frame_p95_ms": round(sorted(frames)[int(0.95 * len(frames))], 2),
        "between_frames_ms": round(statistics.median(between), 2),
        "script_bytes": script_bytes(),
    }


def ok(found: dict[str, Any]) -> bool:
    return all(found[name] <= bar for name, bar in BARS.items())


def lines(found: dict[str, Any]) -> list[str]:
    return [
        f"first contentful paint {found['first_paint_ms']:g} ms (bar {BARS['first_paint_ms']:g}); "
        f"paths drawn {found['ready_ms']:g} ms after the address was opened",
        f"drag to redraw, 8 rules × 500 steps: median {found['drag_ms']:g} ms (bar {BARS['drag_ms']:g}), "
        f"95th percentile {found['drag_p95_ms']:g} ms, of {found['drags']}",
        f"a frame with 12 rules: median {found['frame_ms']:g} ms (bar {BARS['frame_ms']:g}), 95th percentile "
        f"{found['frame_p95_ms']:g} ms; between frames {found['between_frames_ms']:g} ms",
        f"scripts {found['script_bytes']} bytes (bar {BARS['script_bytes']:.0f})",
    ]
