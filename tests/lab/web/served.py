"""What the tests of the page share: an application without a socket, and a server with one, in threads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from benchmarks.web.fuzz import running
from descend.lab.web import serve
from descend.lab.web.app import app
from descend.lab.web.tab import Lab

TOKEN, HOST = "a-key-of-the-tests", "127.0.0.1:8642"


class Client:
    """Asks the application as its page would."""

    def __init__(self, lab: Lab | None = None) -> None:
        self.lab = lab or Lab()
        self.http = TestClient(app(self.lab, TOKEN, serve.hosts(8642)), base_url=f"http://{HOST}")

    def get(self, path: str, **headers: str) -> Any:
        return self.http.get(f"/{TOKEN}/{path}", headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        said = {"origin": f"http://{HOST}", "content-type": "application/json", **headers}
        return self.http.post(f"/{TOKEN}/{path}", content=raw, headers=said)


@contextmanager
def served(lab: Lab | None = None) -> Iterator[str]:
    """The address, with its key, of a server that runs in a thread of this process."""
    with running(lab or Lab(), TOKEN) as port:
        yield f"http://127.0.0.1:{port}/{TOKEN}/"
