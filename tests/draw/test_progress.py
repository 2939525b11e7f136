"""Progress where nobody draws over it: few lines; and in a notebook one bar, tried in a kernel of its own."""

import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from descend import minimize
from descend.draw import progress as module
from descend.draw.progress import lines, noticed, progress
from descend.draw.terminal import watched


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_run_says_few_lines_and_the_time_left(capsys):
    clock = Clock()
    report = lines("step", clock)
    for second in range(3601):
        clock.now = float(second)
        report(second, 3600)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["step 0 of at most 3600", "step 2 of at most 3600, at most 3598 s left",
                        "step 4 of at most 3600, at most 3596 s left"]  # fmt: skip
    assert 40 < len(said) < 80


def test_the_terminal_of_a_notebooks_command_is_none_to_draw_over(monkeypatch):
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setenv("TERM", "xterm-color")
    assert watched(terminal)
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not watched(terminal)
    monkeypatch.setenv("TERM", "xterm-256color")  # a terminal of JupyterLab's
    assert watched(terminal)
    assert not watched(io.StringIO())


@pytest.fixture
def shown(monkeypatch) -> list[tuple[str, str]]:
    """What a notebook is asked to show: (which place, text)."""
    found: list[tuple[str, str]] = []

    def display(data, raw, display_id):
        assert raw
        assert display_id is True
        found.append((f"place {len({place for place, _ in found})}", data["text/plain"]))
        return SimpleNamespace(display_id=found[-1][0])

    def update_display(data, raw, display_id):
        assert data["text/html"].startswith("<div><progress ") == bool(data["text/plain"])
        found.append((display_id, data["text/plain"]))

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display, update_display=update_display))
    return found


def test_a_bar_in_a_notebook_is_one_that_moves_and_goes(shown):
    clock = Clock()
    with noticed("<b>", clock=clock) as report:
        assert report is not None
        for step in range(101):
            clock.now = step / 8
            report(step, 100)
    assert {place for place, _ in shown} == {"place 0"}
    assert shown[0] == ("place 0", "<b> · 0%")
    assert shown[25][1] == "<b> · 50% · about 6 s left"
    assert shown[-1] == ("place 0", "")
    assert len(shown) <= 52  # at most five a second


def test_it_goes_where_the_work_stops_and_never_comes_where_nothing_is_told(shown):
    def interrupted() -> None:
        with progress("x") as report:
            assert report is not None
            report(1, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [text for _, text in shown] == ["x · 50%", ""]
    with progress("x"):
        pass
    assert len(shown) == 2


def test_a_search_of_over_a_second_has_a_bar_and_a_short_one_none(shown, monkeypatch):
    clock = Clock()

    def slow(x: np.ndarray) -> float:
        clock.now += 0.25
        return float(((x - 1) ** 2).sum())

    def noticing(title: str, after: float):
        return noticed(title, after, clock)

    monkeypatch.setattr("descend.search.minimizing.noticed", noticing)
    minimize(slow, np.zeros(2), "cma_es", seed=0, budget=4)
    assert shown == []
    found = minimize(slow, np.zeros(2), "cma_es", seed=0, budget=60)
    assert found.nfev == 60
    assert {place for place, _ in shown} == {"place 0"}
    assert shown[0][1].startswith("minimize, cma_es, evaluations · 1")
    assert shown[-1][1] == ""


def test_without_a_notebook_there_is_no_bar():
    assert not module.in_notebook()
    with noticed("x") as report:
        assert report is None


CELLS = (
    "import numpy as np, torch, descend.torch as ours\nfrom torch.nn.functional import cross_entropy\n"
    "from descend import minimize\nfrom descend.lab.tasks.torch_digits import Batches, model\n"
    "torch.set_num_threads(1)",
    "found = ours.find_lr(model(0), 'adamw', cross_entropy, Batches(0), steps=40, repeats=1); found",
    "two = ['adamw', 'lion']\n"
    "chosen = ours.choose(lambda: model(0), cross_entropy, Batches(0), horizon=100, steps=300, rules=two)\n"
    "chosen",
    "minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(2), 'cma_es', seed=0, budget=60)",
    "net = model(0); opt = ours.AdamW(net.parameters(), lr=0.01, telemetry=True)\n"
    "with ours.live(opt, refresh=0.0):\n"
    "    for x, y in list(Batches(0))[:5]:\n"
    "        opt.zero_grad(); cross_entropy(net(x), y).backward(); opt.step()",
    "print(chosen)",
    "!{__import__('sys').executable} -m descend race digits --quick --rules adam,sgd --seeds 2 --steps 60 -o .",
)


@pytest.mark.slow
def test_a_notebook_shows_one_bar_and_one_result_for_each_call(tmp_path, monkeypatch):
    """In a kernel of ipykernel's, by nbclient: no flood, and no text beside the result that it belongs to."""
    pytest.importorskip("ipykernel")
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbclient.NotebookClient(book, timeout=600, kernel_name="python3").execute()
    _, lr, chosen, search, alive, text, command = (cell.outputs for cell in book.cells)
    for outputs in (lr, chosen, search):
        bars = [one for one in outputs if one.output_type == "display_data"]
        (result,) = [one for one in outputs if one.output_type == "execute_result"]
        assert len(bars) <= 1
        assert all(one.data["text/plain"] == "" for one in bars)  # at the end it is gone
        assert "<svg" in result.data["text/html"] or "expected" in result.data["text/html"]
        assert len(bars) + 1 == len(outputs)
    assert len(chosen) == 2  # it took long enough for a bar
    (table,) = alive  # the last of five tables, all in one place
    assert "step 5" in table.data["text/plain"]
    assert "nine of ten" in "".join(one.text for one in text)  # a table, which rich shows beside the text if it may
    said = "".join(one.text for one in command)
    assert not re.search(r"\x1b\[\d*[AK]", said)  # no line is drawn over, for a notebook does not
    assert len(said.splitlines()) < 40
