"""A server of the page for all its tests, and pages of it in a browser."""

import importlib.resources
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served import served

PATIENCE = 120_000  # milliseconds: a busy machine is no failure


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with served() as where:
        yield where


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds what assistive technology cannot use."""
    return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def pages(browser, address) -> Iterator[Any]:
    """Opens pages: `pages.open("#race", width=360)`.

    At the end nothing may have been asked of another host, or stand on the console.
    """
    opened, asked, said = [], [], []

    def listen(page: Any) -> None:
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))

    def open_(link: str = "", width: int = 1280, height: int = 860, base: str = "", **how: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **how)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        listen(page)
        opened.append(context)
        page.goto((base or address) + link)
        name = link.lstrip("#").partition("?")[0] or "surfaces"
        page.wait_for_selector(f"html[data-ready={name}]")
        return page

    yield SimpleNamespace(open=open_, asked=asked, said=said)
    for context in opened:
        context.close()
    own = address.rsplit("/", 2)[0]
    assert [url for url in asked if not url.startswith((own, "file:", "data:", "blob:"))] == []
    assert said == []


@pytest.fixture(scope="module")
def surfaces(browser, address) -> Iterator[Any]:
    """One page for many tests: `surfaces(link)` brings it into that state, as a link that is followed does."""
    page = browser.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce").new_page()
    page.set_default_timeout(PATIENCE)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}#surfaces?story=saddle")
    page.wait_for_selector("html[data-ready=surfaces]")

    def show(name: str) -> Any:
        page.click(f".pill[value={name}]")
        page.wait_for_selector(f".pill[value={name}][aria-pressed=true]")
        title = page.inner_text(f".pill[value={name}]")
        page.wait_for_selector(f".story-title:text-is('{title}')")
        return page

    yield show
    page.context.close()
    assert said == []


@pytest.fixture
def picture():
    """Keeps a screenshot where DESCEND_SHOTS says, for people to look at."""

    def keep(page: Any, name: str) -> None:
        if folder := os.environ.get("DESCEND_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    return keep
