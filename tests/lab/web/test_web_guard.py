"""Who may ask the page's server, and how much: everything that is refused, and that it is."""

import asyncio
import contextlib
import json
import socket
import threading

import pytest
from served import HOST, TOKEN, Client, served

from descend.lab.web import guard, serve

ORIGIN = f"http://{HOST}"


@pytest.fixture(scope="module")
def client():
    return Client()


def test_the_page_is_given_to_who_has_the_key(client):
    page = client.get("")
    assert page.status_code == 200
    assert "descend</span> lab" in page.text
    for name, value in guard.ALWAYS.items():
        assert page.headers[name] == value
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_the_slash_behind_the_key_is_added(client):
    answer = client.http.get(f"/{TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, f"/{TOKEN}/")


@pytest.mark.parametrize(
    "path", ["wrong/", "wrong/static/lab.js", f"{TOKEN}x/", "static/lab.js", "api/race/start", "é/"]
)
def test_without_the_key_there_is_nothing(client, path):
    assert client.http.get(f"/{path}").status_code == 403


def test_the_door_knows_no_secret_and_runs_one_script(client):
    door = client.http.get("/")
    assert door.status_code == 200
    assert TOKEN not in door.text
    assert "sha256-" in door.headers["content-security-policy"]
    assert "unsafe" not in door.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1", "localhost", f"{HOST}.evil.example", ""])
def test_another_host_is_not_this_server(client, host):
    assert client.get("", host=host).status_code == 421
    assert client.http.get("/", headers={"host": host}).status_code == 421


def test_localhost_is_this_server_too(client):
    assert client.get("", host="localhost:8642").status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8642", "http://127.0.0.1:1"])
def test_another_origin_is_refused(client, origin):
    assert client.post("api/surfaces/known", origin=origin).status_code == 403
    assert client.get("", origin=origin).status_code == 403


def test_a_post_must_say_its_origin_and_that_it_is_json(client):
    answer = client.http.post(f"/{TOKEN}/api/surfaces/known", json={})
    assert (answer.status_code, "Origin" in answer.json()["error"]) == (403, True)
    assert client.post("api/surfaces/known", **{"content-type": "text/plain"}).status_code == 415


def test_a_page_elsewhere_cannot_fetch_what_it_guesses(client):
    assert client.get("static/lab.js", **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("static/lab.js", **{"sec-fetch-site": "same-origin"}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_not_answered(client, method):
    assert client.http.request(method, f"/{TOKEN}/", headers={"origin": ORIGIN}).status_code == 405


def test_nothing_changes_by_get(client):
    for path in ("api/race/start", "api/rate/start", "api/surfaces/paths", "api/jobs/x/stop"):
        assert client.get(path).status_code == 405, path


@pytest.mark.parametrize(
    "path",
    [
        "static/../app.py", "static/%2e%2e/app.py", "static/..%2fapp.py",
        "static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
        "static//etc/passwd", "static/..\\app.py", "static/%00", "../../etc/passwd",
        "static/tabs/../../app.py", "static/",
    ],
)  # fmt: skip
def test_no_file_outside_the_folder(client, path):
    answer = client.get(path)
    assert answer.status_code in (403, 404)
    assert "import" not in answer.text


def test_a_body_has_a_bound(client):
    assert client.post("api/surfaces/known", b"{" + b" " * guard.BODY).status_code == 413


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 5000, b'{"a": 1}', b'"x"', b"1e999"])
def test_a_body_that_is_no_object_is_refused_in_words(client, body):
    answer = client.post("api/surfaces/ground", body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def raw(address: str, text: bytes, wait: float) -> bytes:
    """What comes back for these bytes until the server hangs up, or this long."""
    port = int(address.split(":")[2].split("/")[0])
    with socket.create_connection((serve.HOST, port), timeout=wait) as connection:
        connection.sendall(text)
        found = b""
        try:
            while part := connection.recv(4096):
                found += part
        except TimeoutError:
            return found + b"<waits>"
        return found


def test_who_is_slow_is_dropped(monkeypatch):
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    with served() as address:
        assert raw(address, b"", 60) == b""
        assert raw(address, b"GET / HTTP/1.1\r\nHost: ", 60) == b""
        port = address.split(":")[2].split("/")[0]
        head = f"POST /{TOKEN}/api/surfaces/known HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        slow = raw(address, f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{{".encode(), 60)
        assert b" 408 " in slow
        assert b"<waits>" not in slow
        assert b" 400 " in raw(address, b"GET /" + b"x" * 2 * serve.HEAD_BYTES, 60)


def test_who_does_not_read_is_left(monkeypatch):
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.2)
    bound = serve.bound

    def narrow(port: int) -> socket.socket:  # else the answer waits in the kernel, where it costs nobody anything
        made = bound(port)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    gone = threading.Event()

    class Watched(serve.Prompt):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            gone.set()

    monkeypatch.setattr(serve, "bound", narrow)
    monkeypatch.setattr(serve, "Prompt", Watched)
    body = json.dumps({"surface": "rosenbrock", "steps": 2000, "rules": [{"rule": "adam", "lr": 1e-3}] * 12}).encode()
    with served() as address, socket.socket() as connection:
        port = int(address.split(":")[2].split("/")[0])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((serve.HOST, port))
        head = f"POST /{TOKEN}/api/surfaces/paths HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        connection.sendall(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        found = connection.recv(2048)
        asked = int(found.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert gone.wait(60)
        size = len(found)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 16):
                size += len(part)
        assert asked > 1_000_000
        assert size < asked


def test_a_stream_that_nobody_takes_ends(monkeypatch):
    monkeypatch.setattr(guard, "SEND_SECONDS", 0.05)

    async def events(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def never(message):
        await asyncio.sleep(60)

    scope = {"type": "http", "method": "GET", "path": f"/{TOKEN}/", "headers": [(b"host", HOST.encode())]}
    guarded = guard.Guard(events, TOKEN, serve.hosts(8642))
    # in a thread of its own: Playwright's loop runs in this one while a browser is open
    thread = threading.Thread(target=lambda: asyncio.run(guarded(scope, None, never)), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_said():
    import click

    with socket.socket() as other:
        other.bind((serve.HOST, 0))
        other.listen()
        with pytest.raises(click.ClickException, match=r"port \d+ is taken.*--port 0"):
            serve.bound(other.getsockname()[1])
