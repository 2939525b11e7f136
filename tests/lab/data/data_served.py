"""A server of pictures on this machine that behaves as badly as it is told, and pictures to serve."""

import gzip
import io
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

Answer = Callable[[BaseHTTPRequestHandler], None]


def scene(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A picture like no other: smooth spots of colour."""
    spots = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize(size, Image.Resampling.BICUBIC)


def jpeg(seed: int, size: tuple[int, int] = (96, 80), **options: object) -> bytes:
    return encoded(scene(seed, size), "JPEG", **options)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def animated() -> bytes:
    return encoded(scene(1), "GIF", save_all=True, append_images=[scene(2), scene(3)])


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG of one bit per pixel whose packed rows may be anything."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")


def bomb() -> bytes:
    """A PNG of 60 kB that unpacks to 400 million pixels."""
    return png(20_000, 20_000, zlib.compress(bytes(2501 * 20_000), 1))


def zeros(mib: int) -> bytes:
    """So many MiB of nothing, gzipped to a thousandth."""
    return gzip.compress(bytes(mib * 2**20), 6)


class Server:
    """Answers by path; `hits` counts how often each was asked for, `gate` holds back those that wait for it."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.hits: Counter[str] = Counter()
        self.gate = threading.Event()
        self.counting = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                with outer.counting:
                    outer.hits[path] += 1
                try:
                    outer.answers.get(path, status(404))(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        class Many(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hangs up is no error."""

        self.http = Many(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_port}"

    def picture(self, path: str, body: bytes, type: str = "image/jpeg", **headers: str) -> str:
        return self.answer(path, body_of(body, type, **headers))

    def answer(self, path: str, how: Answer) -> str:
        self.answers[path] = how
        return self.base + path


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.http.shutdown()
        server.http.server_close()


def body_of(body: bytes, type: str = "image/jpeg", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if type:
            handler.send_header("Content-Type", type)
        sent = {"content-length": str(len(body)), **{k.replace("_", "-").lower(): v for k, v in headers.items()}}
        for name, value in sent.items():
            if value:
                handler.send_header(name, value)
        if not sent["content-length"] or int(sent["content-length"]) != len(body):
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def to(location: str) -> Answer:
    return status(302, Location=location)


def first(times: int, bad: Answer, good: Answer) -> Answer:
    """`bad` so many times, `good` from then on."""
    left = [times]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        left[0] -= 1
        (bad if left[0] >= 0 else good)(handler)

    return answer


def folder_of(place: Path, classes: dict[str, list[bytes]]) -> Path:
    """A folder of pictures, one folder per class."""
    for label, pictures in classes.items():
        (place / label).mkdir(parents=True, exist_ok=True)
        for k, content in enumerate(pictures):
            (place / label / f"{k:04}.jpg").write_bytes(content)
    return place
