"""Serving on this computer alone: the socket, and how long anybody may take."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import click
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .tab import Lab

HOST = "127.0.0.1"
HEAD_SECONDS = 10.0  # for the head of a request, from the connection or the last answer on
HEAD_BYTES = 16 * 1024
CONNECTIONS = 64


class Prompt(H11Protocol):
    """HTTP whose clients must say what they want within HEAD_SECONDS, and read its end; uvicorn waits for ever."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def _wait(self) -> None:
        self.waiting = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._look)

    def _look(self) -> None:
        if self.transport.is_closing() or self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            self._wait()  # an answer is on its way; how long that may take, `guard` says

    def on_response_complete(self) -> None:
        self.waiting.cancel()
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """One that ends what watches jobs, so that Ctrl-C need not wait for it."""

    def __init__(self, config: uvicorn.Config, lab: Lab) -> None:
        super().__init__(config)
        self.lab = lab
        self.on_start: Callable[[], Any] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_start()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.lab.closing = True
        super().handle_exit(sig, frame)


def bound(port: int) -> socket.socket:
    """A socket on that port of this computer; 0: any that is free.

    Raises:
        ClickException: it is taken, or not allowed; the message says what to do.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen(CONNECTIONS)
    except OSError as error:
        made.close()
        why = (
            "is taken, perhaps by another lab"
            if error.errno == errno.EADDRINUSE
            else f"cannot be had: {error.strerror}"
        )
        raise click.ClickException(f"port {port} {why}; --port 0 takes one that is free.") from None
    return made


def hosts(port: int) -> frozenset[str]:
    return frozenset({f"{HOST}:{port}", f"localhost:{port}"})


def server(application: Any, lab: Lab) -> Server:
    config = uvicorn.Config(
        application,
        http=Prompt,
        ws="none",
        lifespan="on",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=HEAD_BYTES,
        log_level="critical",  # a client that hung up is no error; what is one, the application logs
        access_log=False,
        server_header=False,
    )
    return Server(config, lab)
