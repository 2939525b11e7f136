"""The application: the page, its files, one route for every endpoint of every tab, and the events of a job."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import click
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import page
from .fields import Fields, Refused
from .guard import Guard
from .tab import Endpoint, Lab, Tab
from .tabs import tabs

STATIC = Path(__file__).parent / "static"
log = logging.getLogger("descend")
AT_ONCE = 2  # answers that are computed at the same time
LOOK = 0.1  # seconds between two looks at a job
ALIVE = 10.0  # seconds after which a watcher that has seen nothing is told so


def app(lab: Lab, token: str, hosts: frozenset[str]) -> Guard:
    """The whole of it, guarded."""
    found = tabs()
    here = page.html(found)

    async def index(request: Request) -> Response:
        return HTMLResponse(here)

    async def colours(request: Request) -> Response:
        return Response(page.colours(), media_type="text/css")

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        lab.closing = True
        await anyio.to_thread.run_sync(lab.jobs.end)

    limiter = asyncio.Semaphore(AT_ONCE)
    routes = [
        Route("/", index),
        Route("/colours.css", colours),
        Route("/api/jobs/{job}/events", _events(lab)),
        Route("/api/jobs/{job}/stop", _stop(lab), methods=["POST"]),
        *(_route(lab, tab, endpoint, limiter) for tab in found for endpoint in tab.endpoints),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: Any = {404: _missing, 405: _missing}
    inner = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    inner.router.redirect_slashes = False  # where it would lead to lacks the key
    return Guard(inner, token, hosts, (STATIC / "icon.svg").read_bytes())


def _missing(request: Request, error: Any) -> Response:
    return JSONResponse({"error": f"{error.detail}: there is no such thing here"}, error.status_code)


def _refused(error: Exception) -> Response:
    return JSONResponse(
        {"error": error.format_message() if isinstance(error, click.ClickException) else str(error)}, 400
    )


def _body(raw: bytes) -> Fields:
    """Raises: Refused: no JSON object."""
    try:
        return Fields(json.loads(raw or b"{}"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is no JSON object: {error}"[:200]) from None


def _route(lab: Lab, tab: Tab, endpoint: Endpoint, limiter: asyncio.Semaphore) -> Route:
    def work(raw: bytes) -> Response:
        fields = _body(raw)
        made = endpoint.answer(lab, fields)
        if isinstance(made, bytes):
            return Response(made, media_type="application/octet-stream")
        return JSONResponse(made)

    async def answer(request: Request) -> Response:
        raw = await request.body()
        try:
            async with limiter:
                return await anyio.to_thread.run_sync(work, raw)
        except (ValueError, TypeError, click.ClickException) as error:
            return _refused(error)
        except Exception:
            log.exception("api/%s/%s", tab.name, endpoint.path)
            return JSONResponse({"error": "this failed, by no fault of yours; the terminal says where"}, 500)

    return Route(f"/api/{tab.name}/{endpoint.path}", answer, methods=["POST"])


def _stop(lab: Lab) -> Any:
    async def stop(request: Request) -> Response:
        try:
            job = lab.jobs.get(request.path_params["job"])
        except Refused as error:
            return _refused(error)
        await anyio.to_thread.run_sync(job.stop)
        return JSONResponse({"stopping": True})

    return stop


def _events(lab: Lab) -> Any:
    """What a job tells, as server-sent events, until it is over."""

    async def told(name: str, since: int) -> AsyncIterator[bytes]:
        job, quiet = lab.jobs.get(name), 0.0
        while not lab.closing:
            over = job.over  # asked first: what is told last is not lost
            since, news = job.news(since)
            if news:
                yield f"id: {since}\ndata: {json.dumps(news)}\n\n".encode()
                quiet = 0.0
            elif quiet > ALIVE:
                yield b": still here\n\n"
                quiet = 0.0
            if over:
                yield b"event: end\ndata: {}\n\n"
                return
            await asyncio.sleep(LOOK)
            quiet += LOOK

    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id", "0")
        try:
            lab.jobs.get(request.path_params["job"])
        except Refused as error:
            return _refused(error)
        since = int(last) if last.isascii() and last.isdigit() and len(last) < 12 else 0
        return StreamingResponse(told(request.path_params["job"], since), media_type="text/event-stream")

    return events
