"""Who may ask, and how much: the middleware around everything the server answers.

The secret is the first part of the path, so it is in no cookie, which other ports of this host would be sent too, and
in no Referer, which the page does not send. Links that people share are without it: the door at `/` finds it in the
browser's own store for this host and port, where the page has put it.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

BODY = 64 * 1024  # bytes of a request
BODY_SECONDS = 2.0  # for all of them, which a browser on this computer sends at once
SEND_SECONDS = 20.0  # for one piece of an answer to be taken
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
DOOR_SCRIPT = (
    'const t=localStorage.getItem("descend-lab");if(t&&/^[\\w-]+$/.test(t))location.replace(`/${t}/${location.hash}`);'
)
DOOR = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>descend lab</title><link rel="icon" href="/icon.svg">'
    '<meta name="color-scheme" content="light dark"><h1>descend lab</h1>'
    "<p>Open the address that <code>descend lab</code> has printed: it holds the key of this page.</p>"
    f"<script>{DOOR_SCRIPT}</script></html>"
)
DOOR_POLICY = (
    f"default-src 'none'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(DOOR_SCRIPT.encode()).digest()).decode()}'"
)


class TooMuch(Exception):
    """A body that is longer, or slower, than admitted; `args` are status and sentence."""


class Guard:
    """ASGI middleware. `hosts`: values of Host that are this server."""

    def __init__(self, app: Any, token: str, hosts: frozenset[str], icon: bytes = b"") -> None:
        self.app, self.token, self.hosts, self.icon = app, token.encode(), hosts, icon

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        status, sentence = self.refusal(scope["method"], headers)
        path = scope["path"]
        if not status and path in ("/", "/icon.svg") and scope["method"] != "POST":
            kind, policy = (b"text/html; charset=utf-8", DOOR_POLICY) if path == "/" else (b"image/svg+xml", POLICY)
            await answer(send, 200, DOOR.encode() if path == "/" else self.icon, kind, policy)
            return
        if not status:
            status, sentence = self.from_elsewhere(headers)
        first, _, rest = path[1:].partition("/")
        if not status and not secrets.compare_digest(first.encode("utf-8", "replace"), self.token):
            status, sentence = 403, "This address lacks the key; open the one that `descend lab` has printed."
        if status:
            await refuse(send, status, sentence)
            return
        if path == f"/{first}":  # every address of the page is relative to the slash behind the key
            await answer(send, 308, b"", b"text/plain", POLICY, more=[(b"location", f"/{first}/".encode())])
            return
        try:
            body = await _read(receive, headers) if scope["method"] == "POST" else b""
        except TooMuch as much:
            await refuse(send, *much.args)
            return
        scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode("utf-8", "replace")}
        with contextlib.suppress(TimeoutError):  # who does not read is left
            await self.app(scope, _again(body, receive), _kept_short(send))

    def refusal(self, method: str, headers: Mapping[bytes, bytes]) -> tuple[int, str]:
        """Status and sentence; 0 and "" of what may go on. A page elsewhere whose name resolves to us may not."""
        if headers.get(b"host", b"").decode("latin-1") not in self.hosts:
            return 421, "This server answers on its own address only."
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method:.20} is not answered here."
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and origin not in {f"http://{host}" for host in self.hosts}:
            return 403, "Requests of other pages are not answered."
        if method == "POST":
            if not origin:
                return 403, "A request that may change something must say its Origin."
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                return 415, "The body must be application/json."
        return 0, ""

    def from_elsewhere(self, headers: Mapping[bytes, bytes]) -> tuple[int, str]:
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return 403, "Requests of other pages are not answered."
        return 0, ""


async def _read(receive: Any, headers: Mapping[bytes, bytes]) -> bytes:
    """The body, as long as it keeps to its bounds."""
    said = headers.get(b"content-length", b"0")
    if said.isdigit() and int(said) > BODY:
        raise TooMuch(413, f"The body must be at most {BODY} bytes.")
    parts: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise TooMuch(400, "The request ended before its body.")
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
                if size > BODY:
                    raise TooMuch(413, f"The body must be at most {BODY} bytes.")
    except TimeoutError:
        raise TooMuch(408, f"The body took longer than {BODY_SECONDS:g} seconds.") from None
    return b"".join(parts)


def _again(body: bytes, receive: Any) -> Any:
    """A `receive` that gives the body once and then what comes."""
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _kept_short(send: Any) -> Any:
    """A `send` that adds the headers, and gives up on a client that does not read."""

    async def guarded(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_headers(POLICY)]}
        async with asyncio.timeout(SEND_SECONDS):
            await send(message)

    return guarded


def _headers(policy: str) -> list[tuple[bytes, bytes]]:
    said = {**ALWAYS, "content-security-policy": policy}
    return [(name.encode(), value.encode()) for name, value in said.items()]


async def refuse(send: Any, status: int, sentence: str) -> None:
    # the last of this connection: what is left of a body would be read as the next request
    body, ends = json.dumps({"error": sentence}).encode(), [(b"connection", b"close")]
    await answer(send, status, body, b"application/json", "default-src 'none'", ends)


async def answer(
    send: Any, status: int, body: bytes, kind: bytes, policy: str, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """A whole answer, with `more` headers."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *_headers(policy), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
