"""A fuzzer for every endpoint: requests that are nearly right, wrong in every way, or no requests at all.

It talks to a real server over real sockets. Work that an endpoint would begin is not done: what is tried is who may ask
for what, not the race. Found must be: no answer of status 500 or more, none later than PATIENCE, no text of a file
outside `static/`, and a server that answers at the end.
"""

from __future__ import annotations

import asyncio
import copy
import http.client
import json
import random
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from descend.lab.web import serve
from descend.lab.web.app import app
from descend.lab.web.jobs import Job, Jobs
from descend.lab.web.tab import Lab
from descend.lab.web.tabs import tabs

PATIENCE = 10.0
TOKEN = "the-key-of-the-fuzzer"
OUTSIDE = (b"root:x:0", b"def app(", b"class Guard", b"[build-system]")  # what stands in files nobody may get
NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1e-300, 1e308, -1e308, 10**30, 0.1, "", "a", "x" * 500, "adam", "muon", "saddle",
    "../../etc/passwd", "/etc/passwd", "\x00", "é", "🙂", "adam+adam", "clip_norm+adam", "adam#2", "lion#0", "-", [],
    {}, [[]], [1, 2], [1e308, -1e308], ["adam"] * 13, [None], {"rule": "adam"}, [{"rule": "adam", "lr": 1e9}], "NaN",
)  # fmt: skip
RAW = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":' * 2000, b"[" * 50_000, b'{"lr": NaN}', b'{"lr": Infinity}',
    b'{"lr": 1e999}', b'"' + b"x" * 60_000 + b'"', b'{"a": ' + b"9" * 5000 + b"}", b" " * 70_000, b'{"a":1}{"a":1}',
    b'{"\\ud800": 1}', b'{"surface": "\\ud800"}',
)  # fmt: skip
PATHS = (
    "", "static/", "static/lab.js", "static/../app.py", "static/%2e%2e/app.py", "static/..%2f..%2fapp.py", "static/%00",
    "static//etc/passwd", "static/tabs/%2e%2e/%2e%2e/guard.py", "api/", "api/jobs//events", "api/jobs/x/events",
    "api/jobs/x/stop", "colours.css", "%", "%ff", "api/race/start/", "..", "//", "static/lab.css?x=1", "api/surfaces",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "BREW")
HEADERS = (
    {"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Content-Type": "text/plain"}, {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"}, {"Content-Length": "-1"}, {"Content-Length": "99999999"}, {"Last-Event-ID": "x"},
    {"Transfer-Encoding": "nonsense"}, {"X": "y" * 20_000}, {"Host": ""}, {"Content-Length": "3"},
)  # fmt: skip


class _Idle(Jobs):
    """Jobs whose work is nothing."""

    def begin(self, kind: str, work: Callable[[Job], object]) -> Job:
        return super().begin(kind, lambda job: None)


@contextmanager
def running(lab: Lab, key: str) -> Iterator[int]:
    """The port of a server in a thread of this process.

    Raises:
        RuntimeError: it does not answer.
    """
    bound = serve.bound(0)
    port = bound.getsockname()[1]
    server = serve.server(app(lab, key, serve.hosts(port)), lab)
    up = threading.Event()
    server.on_start = up.set
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
    thread.start()
    if not up.wait(120):
        raise RuntimeError("the server did not start")
    try:
        yield port
    finally:
        lab.closing = server.should_exit = True
        thread.join(60)
        bound.close()


def _nasty(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(NASTY))


def mutated(rng: random.Random, body: Any) -> Any:
    """The same with one thing, or a few, wrong."""
    made = json.loads(json.dumps(body))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        if not isinstance(made, dict) or not made or rng.random() < 0.05:
            made = _nasty(rng)
            continue
        name = rng.choice(list(made))
        way = rng.random()
        if way < 0.15:
            del made[name]
        elif way < 0.25:
            made[rng.choice(("", "x", "__class__", name.upper(), "é" * 40))] = _nasty(rng)
        elif way < 0.45 and isinstance(made[name], list) and made[name]:
            made[name][rng.randrange(len(made[name]))] = mutated(rng, made[name][0])
        else:
            made[name] = _nasty(rng)
    return made


def request(rng: random.Random, port: int) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of one request."""
    own = f"127.0.0.1:{port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Content-Type": "application/json"}
    tab = rng.choice(tabs())
    endpoint = rng.choice(tab.endpoints)
    method, path = "POST", f"api/{tab.name}/{endpoint.path}"
    body = json.dumps(mutated(rng, rng.choice(endpoint.examples))).encode()
    way = rng.random()
    if way < 0.12:
        method, path, body = rng.choice(METHODS), rng.choice(PATHS), b""
    elif way < 0.2:
        body = rng.choice(RAW)
    elif way < 0.28:
        headers |= rng.choice(HEADERS)
    elif way < 0.32:
        del headers[rng.choice(list(headers))]
    elif way < 0.35:
        body = bytes(rng.randrange(256) for _ in range(rng.randrange(200)))
    key = TOKEN if rng.random() > 0.03 else rng.choice(("", "x", TOKEN[:-1], TOKEN + "x", "é"))
    return method, f"/{key}/{path}" if key else f"/{path}", body, headers


def ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body; 0 where the server hung up on what is no HTTP."""
    connection = http.client.HTTPConnection(serve.HOST, port, timeout=PATIENCE)
    try:
        connection.putrequest(
            method, path.encode("ascii", "ignore").decode(), skip_host=True, skip_accept_encoding=True
        )
        for name, value in headers.items():
            connection.putheader(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Connection", "close")
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except TimeoutError:
        return -1, b""  # also of a body that never comes whole: the server ends that by itself
    except (http.client.HTTPException, OSError):
        return 0, b""
    finally:
        connection.close()


def run(count: int, seed: int = 0) -> dict[str, Any]:
    """So many requests, and what became of them."""
    rng = random.Random(seed)
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    seconds: list[float] = []
    slowest = ""
    begin = perf_counter()
    with running(Lab(jobs=_Idle()), TOKEN) as port:
        for _ in range(count):
            asked = request(rng, port)
            before = perf_counter()
            status, text = ask(port, *asked)
            seconds.append(perf_counter() - before)
            if seconds[-1] == max(seconds):
                slowest = f"{status} {asked[0]} {asked[1].partition('/api/')[2] or asked[1]} {asked[2][:60]!r}"
            statuses[status] += 1
            if status >= 500 or status < 0 or any(sign in text for sign in OUTSIDE):
                wrong.append(f"{status} {asked[0]} {asked[1]} {asked[2][:200]!r} {asked[3]}")
        own = f"127.0.0.1:{port}"
        alive = ask(port, "GET", f"/{TOKEN}/", b"", {"Host": own})[0] == 200
    return {
        "requests": count,
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "median_ms": round(1000 * statistics.median(seconds), 2),
        "longest_s": round(max(seconds), 2),
        "slowest": slowest,
        "alive": alive,
        "wrong": wrong[:20],
        "seconds": round(perf_counter() - begin, 1),
    }


def ok(found: dict[str, Any]) -> bool:
    return found["alive"] and not found["wrong"]


def lines(found: dict[str, Any]) -> list[str]:
    said = ", ".join(f"{'hung up' if status == '0' else status}: {n}" for status, n in found["statuses"].items())
    return [
        f"{found['requests']} requests in {found['seconds']:g} s; answers {said}",
        f"median {found['median_ms']:g} ms, longest {found['longest_s']:g} s: {found['slowest']}",
        f"alive at the end: {found['alive']}",
        f"500, hung or a file from outside: {len(found['wrong'])} (bar 0)",
        *found["wrong"],
    ]
