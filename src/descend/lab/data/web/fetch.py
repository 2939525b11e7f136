"""One file from an address: within size and time, with patience where it helps, and never further than asked."""

import asyncio
import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies

import httpx2 as httpx

from ..picture import one_line
from ..sources.lists import refused
from .hosts import Clock, Hosts, Robots, kind_of

AGENT = "descend-data"
AGAIN = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524}
REDIRECTS = 5
GIVEN_UP = 3  # times the connections: so many failures in a row to get any answer, and a host is left alone
ROBOTS = 512_000  # bytes of a robots.txt that are read, as RFC 9309 has it
PIECE = 2**16


@dataclass(frozen=True)
class Limits:
    """`rate` is requests a second per host, `seconds` what one answer may take, `wait` the longest pause asked for."""

    connections: int = 16
    rate: float = 5.0
    seconds: float = 20.0
    largest: int = 20 * 2**20
    tries: int = 4
    backoff: float = 1.0  # seconds before the second try; then twice as long each time
    wait: float = 60.0


class Refused(Exception):
    """What was not had: (reason, detail). `again`: at another time it may be."""

    def __init__(self, reason: str, detail: str, again: bool = False) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail, self.again = reason, detail, again


class _Again(Exception):
    """This try failed, and the next may not."""

    def __init__(self, detail: str, wait: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.wait = detail, wait


class Fetcher:
    """Fetches files; an async context manager that closes its connections."""

    def __init__(self, limits: Limits, seed: int = 0, clock: Clock | None = None) -> None:
        self.limits = limits
        self.clock = clock or Clock()
        self.hosts = Hosts(limits.rate, self.clock, GIVEN_UP * limits.connections)
        self.robots = Robots(AGENT, self._robots, self.hosts)
        self._draw = Random(seed)
        self._proxied = bool(getproxies())
        self._open = asyncio.Semaphore(limits.connections)
        most = httpx.Limits(max_connections=limits.connections, max_keepalive_connections=limits.connections)
        headers = {"User-Agent": AGENT, "Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity"}
        self._client = httpx.AsyncClient(timeout=limits.seconds, limits=most, headers=headers, follow_redirects=False)

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    async def fetch(self, url: str, to: Path) -> str:
        """Write what is at the address to a file; its Content-Type.

        Raises:
            Refused: it is not to be had, now or ever.
        """
        detail = ""
        for k in range(self.limits.tries):
            try:
                return await self._once(url, to)
            except _Again as error:
                detail = error.detail
                wait = self.limits.backoff * 2**k * (0.5 + self._draw.random())
                if error.wait is not None:
                    if error.wait > self.limits.wait:
                        raise Refused("unreachable", f"{detail}; it asks for {error.wait:,.0f} s", again=True) from None
                    wait = max(error.wait, min(wait, 1.0) if error.wait else 0.0)
                if k + 1 < self.limits.tries:
                    await self.clock.sleep(wait)
            finally:
                with suppress(OSError):
                    _part(to).unlink(missing_ok=True)
        raise Refused("unreachable", f"{detail}, {self.limits.tries} times", again=True)

    async def _once(self, url: str, to: Path) -> str:
        async with self._answer(url) as response:
            await self._write(response, to)
            return response.headers.get("content-type", "")

    @asynccontextmanager
    async def _answer(self, url: str, obey: bool = True) -> AsyncIterator[httpx.Response]:
        """The answer at the end of all redirects, its body not read yet; within the time of one answer each.

        Raises:
            Refused, _Again: as `fetch` has it.
        """
        begun = ""
        for _ in range(REDIRECTS + 1):
            if why := refused(url):
                raise Refused("refused", why)
            parts = urlsplit(url)
            origin, host = f"{parts.scheme.lower()}://{parts.netloc.lower()}", str(parts.hostname)
            kind = await self.hosts.kind(host)
            if kind == "link-local":  # where clouds keep their machines' passwords
                raise Refused("refused", f"{host} is a link-local address")
            if begun == "public" and kind == "private":
                raise Refused("refused", f"a redirect from a public host to {host}, which is one of this network")
            begun = "public" if "public" in (begun, kind) else kind
            if self.hosts.given_up(origin):
                raise Refused("unreachable", f"{host} gives no answer", again=True)
            if obey:
                allowed = await self.robots.allows(origin, url)
                if not allowed:
                    said = "its robots.txt does not allow it" if allowed is False else "its robots.txt cannot be had"
                    raise Refused("refused" if allowed is False else "unreachable", said, again=allowed is None)
            await self.hosts.turn(origin)
            async with self._asked(origin, url) as response:
                self._same_side(response, begun)
                if not response.has_redirect_location:
                    self._status(response, origin)
                    yield response
                    return
                url = _joined(url, response.headers["location"])
        raise Refused("refused", f"more than {REDIRECTS} redirects")

    @asynccontextmanager
    async def _asked(self, origin: str, url: str) -> AsyncIterator[httpx.Response]:
        """One request, and what can go wrong with it by name."""
        answered = False
        try:
            async with self._open, asyncio.timeout(self.limits.seconds), self._client.stream("GET", url) as response:
                answered = True
                self.hosts.heard(origin, True)
                yield response
        except (TimeoutError, httpx.TimeoutException):
            self.hosts.heard(origin, answered)
            raise _Again(f"no whole answer within {self.limits.seconds:g} s") from None
        except httpx.InvalidURL as error:
            raise Refused("refused", f"no address: {error}") from None
        except httpx.ConnectError as error:
            self.hosts.heard(origin, False)
            raise _Again(f"no connection: {one_line(error)}") from None
        except httpx.RequestError as error:
            raise _Again(f"cut off: {one_line(error)}") from None
        except UnicodeError as error:
            raise Refused("refused", f"no address: {one_line(error)}") from None

    def _same_side(self, response: httpx.Response, begun: str) -> None:
        """A name may have another address by the time it is asked: what counts is who answered."""
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None and not self._proxied else None
        if begun == "public" and peer and kind_of([str(peer[0])]) != "public":
            raise Refused("refused", f"a public name whose answer came from {peer[0]}, which is one of this network")

    def _status(self, response: httpx.Response, origin: str) -> None:
        """Raises: Refused, _Again: it is no success."""
        code = response.status_code
        told = f"{code} {response.reason_phrase}".strip()
        if code in AGAIN:
            wait = _retry_after(response.headers.get("retry-after", ""))
            if wait is not None and wait <= self.limits.wait:
                self.hosts.pause(origin, wait)
            raise _Again(told, wait)
        if code != 200:
            raise Refused("gone", told)

    async def _write(self, response: httpx.Response, to: Path) -> None:
        """The body, unpacked where it came packed all the same, to a file that is there whole or not at all."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("text/") or kind in ("image/svg+xml", "application/json", "application/xhtml+xml"):
            raise Refused("mislabelled", f"{kind} is no picture")
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self.limits.largest:
            raise Refused("too large", f"{int(length):,} bytes")
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Refused("corrupt", f"packed with {coding}, which was not asked for")
        unpack = None if coding in ("", "identity") else zlib.decompressobj(47 if "gzip" in coding else 15)
        left = self.limits.largest
        with _part(to).open("wb") as file:
            async for piece in response.aiter_raw(PIECE):
                if unpack is not None:
                    try:
                        piece = unpack.decompress(piece, left + 1)
                    except zlib.error as error:
                        raise Refused("corrupt", f"{coding}: {error}") from None
                left -= len(piece)
                if left < 0:
                    raise Refused("too large", f"over {self.limits.largest:,} bytes")
                file.write(piece)
        os.replace(_part(to), to)

    async def _robots(self, url: str) -> str | None:
        for k in range(2):
            try:
                async with self._answer(url, obey=False) as response:
                    found = b""
                    async for piece in response.aiter_bytes(PIECE):
                        found += piece
                        if len(found) > ROBOTS:
                            break
                    return found[:ROBOTS].decode("utf-8", errors="replace")
            except _Again as error:
                if error.detail.startswith(("408", "425", "429")):  # a client's error: there is no such file to obey
                    return ""
                if k == 0:
                    await self.clock.sleep(min(self.limits.backoff, error.wait or self.limits.backoff))
            except Refused as error:
                return None if error.again else ""
        return None


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; what cannot be joined stands as it is, to be refused."""
    try:
        return urljoin(url, location).partition("#")[0]
    except ValueError:
        return location


def _part(to: Path) -> Path:
    return to.with_name(f"{to.name}.part")


def _retry_after(text: str) -> float | None:
    """Seconds that a Retry-After asks for: a number, or a date."""
    text = text.strip()
    if text.isdigit():
        return float(text)
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(text)
        return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
    return None
