"""live(): a table that fits its terminal, plain lines elsewhere."""

import io

import pytest
import torch
from rich.console import Console
from torch import nn

import descend.torch as ours
from descend.torch.watch.live import live


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    """A terminal that can draw, whatever the tests were started in."""
    monkeypatch.setenv("TERM", "xterm")


def setup(layers=8, **settings):
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(layers)])
    return model, ours.AdamW(model.parameters(), lr=1e-2, **{"telemetry": True, **settings})


def train(model, opt, steps, dead=None, bad=None):
    for _ in range(steps):
        opt.zero_grad()
        model(torch.randn(8, 16)).square().mean().backward()
        if dead is not None:
            dead.grad.zero_()
        if bad is not None:
            bad.grad.view(-1)[0] = float("nan")
        opt.step()


def screen(width=80, height=24, terminal=True):
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=terminal, color_system=None)


def drawn(view, width):
    """The table as lines."""
    console = screen(width)
    console.print(view.table())
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [120, 60, 44, 20])
@pytest.mark.parametrize("height", [50, 10, 3])
def test_the_table_fits_any_terminal(width, height):
    model, opt = setup(layers=12, telemetry="cosine", nonfinite="skip")
    console = screen(width, height)
    with live(opt, names=model, console=console, refresh=0) as view:
        train(model, opt, 22, dead=model[3].bias)
        train(model, opt, 1, bad=model[5].weight)
        lines = drawn(view, width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) <= max(height, 8)
    assert lines[0].startswith("step 22, 1 skipped"[: width - 1])
    assert any(line.startswith("all") for line in lines)
    text = "\n".join(lines)
    assert "5.weight" in text
    assert "upd/wt" in text or width < 30


def test_a_wide_table_says_everything():
    model, opt = setup(layers=2, telemetry="cosine")
    with live(opt, names=model, console=screen(120), refresh=0) as view:
        train(model, opt, 3)
        text = "\n".join(drawn(view, 120))
    for word in ("step 3", "lr 0.01", "0.weight", "1.bias", "upd/wt", "|gradient|", "|update|", "|weights|", "cosine"):
        assert word in text
    assert "near 1e-3 in many healthy runs: a hint, no law" in text
    assert "NaN/inf" not in text
    assert f"{opt.telemetry.total.gradient_norm:.3g}" in text


def test_tensors_with_alarms_come_first_where_there_is_no_room():
    model, opt = setup(layers=30, weight_decay=0.1)  # a dead tensor only decays, by lr * weight_decay = 1e-3
    with live(opt, names=model, console=screen(100, 16), refresh=0) as view:
        train(model, opt, 25, dead=model[17].bias)
        lines = drawn(view, 100)
    assert [line.split()[-1] for line in lines if line.startswith("17.bias")] == ["dead"]
    text = "\n".join(lines)
    assert "exactly zero" in text
    assert "more tensors" in text


def test_long_names_lose_their_beginning():
    p = nn.Parameter(torch.ones(3))
    opt = ours.AdamW([("model.decoder." * 10 + "layers.11.weight", p)], telemetry=True)
    with live(opt, console=screen(50), refresh=0) as view:
        p.grad = torch.ones(3)
        opt.step()
        lines = drawn(view, 50)
    assert any("layers.11.weight" in line and line.startswith("…") for line in lines)


def test_elsewhere_plain_lines_at_intervals_and_one_per_alarm():
    model, opt = setup(layers=3)
    console = screen(40, terminal=False)
    with live(opt, names=model, console=console, interval=0):
        train(model, opt, 30, dead=model[1].bias)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 31
    assert lines[0].startswith("step 1 · lr 0.01 · gradient ")
    assert "update/weight" in lines[0]
    assert "furthest from 1e-3: " in lines[0]
    assert sum("dead: 1.bias, since step 1: its gradient was exactly zero" in line for line in lines) == 1
    assert lines[-1].endswith("1 alarm")
    assert "\x1b" not in console.file.getvalue()


def test_between_intervals_nothing_is_printed_but_the_end_is():
    model, opt = setup(layers=3)
    console = screen(terminal=False)
    with live(opt, names=model, console=console, interval=3600):
        train(model, opt, 20)
    assert [line.split(" · ")[0] for line in console.file.getvalue().splitlines()] == ["step 1", "step 20"]
    train(model, opt, 5)
    assert len(console.file.getvalue().splitlines()) == 2
    assert not opt._optimizer_step_post_hooks


def test_an_interrupted_block_leaves_the_terminal_as_it_was():
    model, opt = setup(layers=3)
    console = screen()

    def interrupted():
        with live(opt, names=model, console=console, refresh=0):
            train(model, opt, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is shown again
    assert not opt._optimizer_step_post_hooks


def test_nothing_measured_yet():
    for terminal in (True, False):
        _, opt = setup(layers=1)
        console = screen(terminal=terminal)
        with live(opt, console=console, refresh=0, interval=0):
            opt.step()
        assert "Traceback" not in console.file.getvalue()


def test_bad_arguments():
    _, opt = setup()
    with pytest.raises(ValueError, match="seconds"):
        live(opt, refresh=-1)
    with pytest.raises(ValueError, match="telemetry=True"):
        live(ours.SGD([nn.Parameter(torch.ones(2))]))
