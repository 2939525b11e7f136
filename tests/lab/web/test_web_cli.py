"""`descend lab` as a command: what it prints, refuses and leaves behind."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from descend.cli import descend as main
from descend.lab.web import cli

PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from descend.cli import main; main()"
)


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["lab", *arguments])
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


@pytest.mark.slow
def test_it_serves_until_ctrl_c_and_ends_cleanly():
    command = [sys.executable, "-c", PROGRAM, "lab", "--no-browser", "--json", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    assert url.startswith("http://127.0.0.1:")
    assert len(url.split("/")[3]) >= 32
    with urllib.request.urlopen(url, timeout=120) as answer:
        assert b"descend</span> lab" in answer.read()
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=120)
    assert (server.returncode, out, err) == (0, "", "")


def test_a_port_that_is_taken_is_said():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = CliRunner().invoke(main, ["lab", "--no-browser", "--port", str(port)])
    assert done.exit_code == 1
    assert f"port {port} is taken" in done.output


def test_what_cannot_be_read_is_refused_before_anything_is_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.py").write_text("def f(x, y):\n    return x * x + y * y\n", encoding="utf-8")
    assert "there is no file nowhere.py" in refused("nowhere.py")
    assert "there is no file nowhere.py" in refused("nowhere.py:f")
    assert "f.py has no function g" in refused("f.py:g")
    assert "exclude each other" in refused("--json", "--quiet")
    assert "it names a column of a .csv file" in refused("f.py", "--target", "y")
    assert "it names a column of a .csv file" in refused("f.py:f", "--target", "y")


def test_files_named_are_all_that_the_page_can_reach(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.py").write_text("def bowl(x, y):\n    return x * x + y * y\n", encoding="utf-8")
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    lab = cli._brought(("f.py:bowl", "mine.csv"))
    assert "bowl" in lab.surfaces
    assert list(lab.tasks) == ["mine.csv"]
    assert ("target", "b") in cli._brought(("mine.csv",), "b").tasks["mine.csv"].options
    with pytest.raises(Exception, match="no file"):
        cli._brought(("other.csv",))
