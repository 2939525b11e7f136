"""Pictures from a server that is slow, lies, loops and throws bombs: each address gets its picture or its reason."""

import asyncio
import csv
import gzip
from pathlib import Path

import pytest
from data_served import Server, animated, body_of, bomb, encoded, first, jpeg, scene, serving, status, to, zeros

from descend.lab.data.collect import Collected, collect
from descend.lab.data.picture import Settings
from descend.lab.data.web.fetch import Fetcher, Limits, Refused, _retry_after
from descend.lab.data.web.hosts import Clock, Hosts, kind_of

SMALL = Settings(largest=2**20)
WEB = {"rate": 1e4, "seconds": 60.0, "backoff": 0.01, "connections": 64}


def collected(*sources: Path, out: Path) -> Collected:
    return collect(sources, out, processes=0, picture=SMALL, web=WEB)


def reasons(out: Path) -> dict[str, tuple[str, str]]:
    """Source -> (reason, detail) of all that was left out."""
    with (out / "rejected.csv").open(newline="") as file:
        return {row["source"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


def sources(out: Path) -> set[str]:
    with (out / "manifest.csv").open(newline="") as file:
        return {row["source"] for row in csv.DictReader(file)}


def endless(handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "image/jpeg")
    handler.send_header("Connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b"\xff" * 2**16)


def hostile(server: Server) -> dict[str, tuple[str, str, int]]:
    """Address -> (reason, part of the detail, requests that it may cost; 0: any number). "" : it is kept."""
    whole = jpeg(900)

    def cut(handler) -> None:
        body_of(whole[: len(whole) // 2], content_length=str(len(whole)))(handler)

    def cut_in_silence(handler) -> None:
        body_of(whole[: len(whole) // 2], content_length="")(handler)

    def huge_headers(handler) -> None:
        handler.send_response(200)
        handler.send_header("X-Long", "x" * 300_000)
        handler.end_headers()

    def garbage(handler) -> None:
        handler.wfile.write(b"this is not HTTP at all\r\n\r\n")
        handler.close_connection = True

    at = server.answer
    picture = server.picture
    packed = gzip.compress(jpeg(901))
    at("/pong", to("/ping"))
    for k in range(8):
        at(f"/far/{k}.jpg", to(f"/far/{k + 1}.jpg"))
    at("/robots.txt", body_of(b"User-agent: *\nDisallow: /private/\n", "text/plain"))
    return {
        at("/missing.jpg", status(404)): ("gone", "404", 1),
        at("/forbidden.jpg", status(403)): ("gone", "403", 1),
        at("/busy.jpg", first(2, status(429, Retry_After="0"), body_of(jpeg(902)))): ("", "", 3),
        at("/always-busy.jpg", status(429, Retry_After="0")): ("unreachable", "429", 4),
        at("/tomorrow.jpg", status(503, Retry_After="86400")): ("unreachable", "it asks for 86,400 s", 1),
        at("/flaky.jpg", first(1, status(500, Retry_After="0"), body_of(jpeg(903)))): ("", "", 2),
        at("/broken.jpg", status(500, Retry_After="0")): ("unreachable", "500", 4),
        at("/loop", to("/loop")): ("refused", "redirects", 6),
        at("/ping", to("/pong")): ("refused", "redirects", 0),
        at("/far/0.jpg", to("/far/1.jpg")): ("refused", "redirects", 1),
        at("/near.jpg", to("/far-away/picture.jpg")): ("", "", 1),
        at("/file.jpg", to("file:///etc/passwd")): ("refused", "only http and https", 1),
        at("/script.jpg", to("javascript:alert(1)")): ("refused", "only http and https", 1),
        at("/nowhere.jpg", to("http://[")): ("refused", "no address", 1),
        at("/inside.jpg", to("http://169.254.169.254/latest/meta-data/")): ("refused", "link-local", 1),
        at("/cut.jpg", cut): ("unreachable", "cut off", 4),
        at("/cut-in-silence.jpg", cut_in_silence): ("corrupt", "truncated", 1),
        picture("/short.jpg", whole, content_length=str(len(whole) - 200)): ("corrupt", "", 1),
        at("/endless.jpg", endless): ("too large", "over 1,048,576 bytes", 1),
        picture("/claims-much.jpg", b"x", content_length="10000000000"): ("too large", "10,000,000,000 bytes", 1),
        at("/headers.jpg", huge_headers): ("unreachable", "cut off", 4),
        at("/garbage.jpg", garbage): ("unreachable", "cut off", 4),
        picture("/page.jpg", b"<!doctype html><title>Not found</title>", "text/html"): ("mislabelled", "text/html", 1),
        picture("/page-as-jpeg.jpg", b"<html>", "image/jpeg"): ("corrupt", "a web page", 1),
        picture("/drawing.svg", b"<svg/>", "image/svg+xml"): ("mislabelled", "svg", 1),
        picture("/png-as-jpeg.jpg", encoded(scene(904), "PNG")): ("mislabelled", "PNG that says it is JPEG", 1),
        picture("/moves.gif", animated(), "image/gif"): ("animated", "3 frames", 1),
        picture("/tiny.jpg", jpeg(905, (20, 200))): ("tiny", "20 × 200", 1),
        picture("/bomb.png", bomb(), "image/png"): ("too large", "pixels", 1),
        picture("/gzip-bomb.jpg", zeros(64), content_encoding="gzip"): ("too large", "over 1,048,576 bytes", 1),
        picture("/gzip-broken.jpg", packed[:-40] + b"x" * 40, content_encoding="gzip"): ("corrupt", "", 1),
        picture("/brotli.jpg", b"x" * 99, content_encoding="br"): ("corrupt", "packed with br", 1),
        picture("/empty.jpg", b""): ("corrupt", "empty", 1),
        picture("/gzip.jpg", packed, content_encoding="gzip"): ("", "", 1),
        picture("/no-type", jpeg(906), ""): ("", "", 1),
        picture("/bytes.jpg", jpeg(907), "application/octet-stream"): ("", "", 1),
        picture("/script.php?id=7", jpeg(908)): ("", "", 0),
        picture("/private/1.jpg", jpeg(909)): ("refused", "robots.txt", -1),
        "http://169.254.169.254/latest/meta-data/": ("refused", "link-local", 0),
        "ftp://127.0.0.1/1.jpg": ("refused", "only http and https", 0),
        "file:///etc/passwd": ("refused", "only http and https", 0),
        "/etc/passwd": ("refused", "only http and https", 0),
        "http://user:secret@127.0.0.1/1.jpg": ("refused", "password", 0),
        "http:///1.jpg": ("refused", "no host", 0),
        "http://127.0.0.1:99999/1.jpg": ("refused", "no address", 0),
        "http://a b/1.jpg": ("refused", "spaces", 0),
        "http://127.0.0.1:9/1.jpg": ("unreachable", "", 0),
        "https://" + "x" * 9000: ("refused", "characters", 0),
    }  # fmt: skip


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory):
    """What became of every hostile address, in one call; what each must have become; and the server."""
    place = tmp_path_factory.mktemp("hostile")
    with serving() as server:
        server.picture("/far-away/picture.jpg", jpeg(910))
        server.answers["/script.php"] = body_of(jpeg(908))
        wanted = hostile(server)
        lines = [f"{url},bad,free" for url in wanted]
        lines += [f"{server.picture(f'/good/{k}.jpg', jpeg(k))},good,free" for k in range(6)]
        (place / "list.csv").write_text("\n".join(["url,class,licence", *lines]))
        done = collected(place / "list.csv", out=place / "out")
        yield place / "out", wanted, server, done


@pytest.mark.slow
def test_every_address_gets_its_picture_or_its_reason(visited):
    out, wanted, _, done = visited
    assert not done.partial
    found, kept = reasons(out), sources(out)
    for url, (reason, detail, _) in wanted.items():
        source = url[:8000]
        assert found.get(source, ("", ""))[0] == reason, (url[:80], found.get(source))
        assert detail in found.get(source, ("", ""))[1], (url[:80], found.get(source))
        assert (source in kept) == (not reason), url[:80]
    assert sum("/good/" in url for url in kept) == 6


@pytest.mark.slow
def test_no_address_is_asked_more_often_than_helps(visited):
    _, wanted, server, _ = visited
    for url, (_, _, times) in wanted.items():
        if times:
            assert server.hits[url.removeprefix(server.base)] == max(times, 0), url
    assert server.hits["/robots.txt"] == 1


@pytest.mark.slow
def test_what_may_be_had_later_is_asked_for_again_and_nothing_else(visited):
    out, wanted, server, done = visited
    again = {url for url, (reason, _, _) in wanted.items() if reason == "unreachable"}
    assert done.again == len(again)
    before = server.hits.copy()
    server.answers["/tomorrow.jpg"] = body_of(jpeg(911))
    for url in again:
        if url.startswith(server.base) and "tomorrow" not in url:
            server.answers[url.removeprefix(server.base)] = status(404)
    assert collected(out=out).again == 1, "the port where nobody listens"
    asked = {path for path in server.hits if server.hits[path] > before[path]} - {"/robots.txt"}
    assert asked == {url.removeprefix(server.base) for url in again if url.startswith(server.base)}
    assert f"{server.base}/tomorrow.jpg" in sources(out)


class Told(Clock):
    """A clock that waits by jumping."""

    def __init__(self) -> None:
        self.time, self.waits = 100.0, []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)
        self.time += seconds


def fetched(server: Server, clock: Clock, *paths: str, **limits: float) -> list[str]:
    """What each fetch of one Fetcher gives: the type, or the reason and its detail."""
    import tempfile

    async def run() -> list[str]:
        found = []
        with tempfile.TemporaryDirectory() as place:
            async with Fetcher(Limits(**{"seconds": 5.0, **limits}), clock=clock) as fetcher:  # type: ignore[arg-type]
                for path in paths:
                    try:
                        found.append(await fetcher.fetch(server.base + path, Path(place, "x")))
                    except Refused as error:
                        found.append(f"{error.reason}: {error.detail}")
        return found

    return asyncio.run(run())


def test_a_host_is_asked_no_faster_than_the_rate_nor_than_its_robots_txt_asks():
    with serving() as server:
        paths = [server.picture(f"/{k}.jpg", jpeg(k)).removeprefix(server.base) for k in range(5)]
        clock = Told()
        assert fetched(server, clock, *paths, rate=4.0) == ["image/jpeg"] * 5
        assert clock.time - 100 == pytest.approx(5 * 0.25)  # robots.txt is the first of six requests
        server.answer("/robots.txt", body_of(b"User-agent: *\nCrawl-delay: 2\n", "text/plain"))
        clock = Told()
        fetched(server, clock, *paths, rate=4.0)
        assert clock.time - 100 >= 4 * 2


def test_backoff_doubles_and_retry_after_is_waited_for():
    with serving() as server:
        server.answer("/500", status(500))
        server.answer("/429", first(1, status(429, Retry_After="17"), body_of(jpeg(1))))
        clock = Told()
        assert fetched(server, clock, "/500", rate=1e6, backoff=8.0) == [
            "unreachable: 500 Internal Server Error, 4 times"
        ]
        waits = [wait for wait in clock.waits if wait > 1]
        assert [8 * 2**k * 0.5 <= wait <= 8 * 2**k * 1.5 for k, wait in enumerate(waits)] == [True] * 3
        clock = Told()
        assert fetched(server, clock, "/429", rate=1e6) == ["image/jpeg"]
        assert clock.time - 100 == pytest.approx(17, abs=0.1)
        assert server.hits["/429"] == 2


def test_an_answer_that_takes_too_long_is_given_up():
    with serving() as server:

        def drip(handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "image/jpeg")
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            while not server.gate.wait(0.02):
                handler.wfile.write(b"x")

        server.answer("/drip.jpg", drip)
        server.answer("/silent.jpg", lambda handler: server.gate.wait(60))
        told = fetched(server, Told(), "/drip.jpg", "/silent.jpg", seconds=0.4, tries=2)
        assert told == ["unreachable: no whole answer within 0.4 s, 2 times"] * 2
        assert [server.hits["/drip.jpg"], server.hits["/silent.jpg"]] == [2, 2]


def test_a_robots_txt_that_cannot_be_had_allows_nothing_and_one_that_is_not_there_all():
    with serving() as server:
        server.picture("/1.jpg", jpeg(1))
        assert fetched(server, Told(), "/1.jpg") == ["image/jpeg"]
        server.answer("/robots.txt", status(403))
        assert fetched(server, Told(), "/1.jpg") == ["image/jpeg"]
        server.answer("/robots.txt", status(503))
        assert fetched(server, Told(), "/1.jpg") == ["unreachable: its robots.txt cannot be had"]
        server.answer("/robots.txt", to("/robots.txt"))
        assert fetched(server, Told(), "/1.jpg") == ["image/jpeg"]


def test_a_host_that_never_answers_is_given_up():
    hosts = Hosts(1.0, Told(), 5)
    for _ in range(5):
        assert not hosts.given_up("http://a")
        hosts.heard("http://a", False)
    assert hosts.given_up("http://a")
    assert not hosts.given_up("http://b")
    hosts.heard("http://a", True)
    assert not hosts.given_up("http://a")


def test_a_redirect_from_a_public_host_into_this_network_is_refused(monkeypatch: pytest.MonkeyPatch):
    async def kind(self: Hosts, host: str) -> str:
        return {"localhost": "public", "rebound": "public"}.get(host, "private")

    with serving() as server:
        server.picture("/1.jpg", jpeg(1))
        inside = server.base + "/1.jpg"
        server.answer("/out.jpg", to(inside))
        port = server.http.server_port
        monkeypatch.setattr(Hosts, "kind", kind)
        monkeypatch.setattr(Fetcher, "_same_side", lambda *_: None)
        server.base = f"http://localhost:{port}"
        (told,) = fetched(server, Told(), "/out.jpg")
        assert "a redirect from a public host to 127.0.0.1, which is one of this network" in told
        assert server.hits["/1.jpg"] == 0
        monkeypatch.undo()
        monkeypatch.setattr(Hosts, "kind", kind)  # a name that was public when it was looked up, and answers from here
        (told,) = fetched(server, Told(), "/1.jpg")
        assert "which is one of this network" in told


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [
        (["8.8.8.8"], "public"),
        (["8.8.8.8", "10.0.0.1"], "private"),
        (["127.0.0.1"], "private"),
        (["::1"], "private"),
        (["::ffff:192.168.1.1"], "private"),
        (["fe80::1%eth0"], "link-local"),
        (["169.254.169.254"], "link-local"),
        (["0.0.0.0"], "private"),
        (["100.64.0.1"], "private"),
        (["2001:4860:4860::8888"], "public"),
        ([], "unknown"),
    ],
)
def test_kinds_of_addresses(addresses: list[str], kind: str):
    assert kind_of(addresses) == kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12", 12.0), ("", None), ("soon", None), ("-1", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_what_retry_after_asks_for(text: str, seconds: float | None):
    assert _retry_after(text) == seconds
