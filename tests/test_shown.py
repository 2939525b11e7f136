"""Results show themselves: readable when printed, and in a notebook, where nothing they hold is taken for markup."""

import ast
import copy
import functools
import itertools
import math
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path

import bench_samples
import lab_samples
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import descend
from descend import chain, minimize, rule, rules, schedules, zeros
from descend.bench.report import Report
from descend.checks import check_rule
from descend.core.shown import Shown
from descend.draw.chart import curve
from descend.draw.svg import svg
from descend.lab.choosing.answer import answer
from descend.lab.choosing.outcomes import Outcome
from descend.lab.choosing.strategy import Asked, Choosing
from descend.lab.data.result import Collected
from descend.lab.diagnosis.atlas import Atlas, drawn
from descend.lab.surface import run
from descend.lab.surface.landscape import around, flat, sharpness
from descend.optimizer import Optimizer
from descend.search.result import OptimizeResult
from descend.torch import (
    Accumulator,
    AdamW,
    Alarms,
    TelemetryLogger,
    check_gradients,
    find_lr,
    initial_loss,
    live,
    muon_groups,
    optimizer,
    overfit_one_batch,
    param_groups,
    switch,
)
from descend.torch.watch.alarms import Alarm
from descend.warm import Warmed

HOSTILE = "<script>alert('&')</script>"
ADDRESS = re.compile(r"object at 0x|\bfunction .* at 0x")


class Tags(HTMLParser):
    """Which tags there are, whether they are closed in order, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        assert self.open[-1:] != ["script"]
        self.text += data


class Net(torch.nn.Module):
    """With a parameter whose name is markup."""

    def __init__(self):
        super().__init__()
        self.register_parameter(HOSTILE, torch.nn.Parameter(torch.ones(3)))
        self.inner = torch.nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(x * next(iter(self.parameters())))


def entropy(prediction, target):
    return torch.nn.functional.cross_entropy(prediction, target)


def measured(cls=AdamW, steps=1, **settings):
    torch.manual_seed(0)
    net = Net()
    opt = cls(net.named_parameters(), telemetry=True, **settings)
    for _ in range(steps):
        opt.zero_grad()
        net(torch.ones(2, 3)).sum().backward()
        opt.step()
    return net, opt


def batch():
    torch.manual_seed(0)
    return torch.randn(8, 3), torch.arange(8) % 3


def range_test():
    net = Net()
    named = optimizer(rules.momentum_ema, "Mine<b>")
    return find_lr(net, named(net.parameters(), lr=0.01), entropy, [batch()], full_batch=True)


@rule
def marked(p, g, v=zeros, *, lr=0.01):
    """Marked: <script>alert('&')</script> & more."""
    v = v + g
    p = p - lr * v
    return p, v


def overfitted():
    net = Net()
    return overfit_one_batch(net, AdamW(net.parameters(), lr=0.05), entropy, batch(), steps=5)


def gradients():
    net = Net()
    return check_gradients(lambda: entropy(net(batch()[0].to(next(net.parameters()).dtype)), batch()[1]), net)


def unbegun():
    record = lab_samples.record(lab_samples.FINALS)
    record.runs.clear()
    return record


def choice():
    choosing = Choosing(Asked(("adamw", "lion"), 320, runs=4.0))
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(Outcome(trial, 0.1 + abs(math.log10(trial.lr) + 2) / 10, 2.3, 1e-3))
    return answer(choosing, HOSTILE, 1.0)


def atlas():
    made = Atlas(["sign_sgd"])
    for found in drawn(made.rules, 0, rules.get, 1):
        made.take(found)
    return made


RESULTS = {
    "choice": choice,
    "map": atlas,
    "image set": lambda: Collected(Path("set"), [HOSTILE, "wolf"], 3, [], []),
    "telemetry": lambda: measured()[1].telemetry,
    "telemetry of no step": lambda: measured(steps=0)[1].telemetry,
    "alarms": lambda: Alarms(measured()[1]),
    "alarm": lambda: Alarm("dead", HOSTILE, 0, 3, 1, "no gradient", "look"),
    "groups": lambda: param_groups(Net(), 0.1, lr=1e-3, show=False),
    "initial loss": lambda: initial_loss(Net(), entropy, batch(), classes=3),
    "overfit": overfitted,
    "gradients": gradients,
    "switch": lambda: switch(measured()[1], "sgd", lr=0.1, plan=True),
    "range test": range_test,
    "schedule": lambda: 3e-4 * (schedules.linear_warmup(5) >> schedules.cosine(95)),
    "endless schedule": lambda: schedules.constant(0.1),
    "plateau": lambda: schedules.plateau(),
    "rule": lambda: marked,
    "matrix rule": lambda: rules.soap,
    "chain": lambda: chain(rules.clip_norm(1.0), rules.adamw, rules.ema(0.99)),
    "report": lambda: check_rule(marked, only=["shapes", "returns"]),
    "race": lambda: lab_samples.record(lab_samples.FINALS),
    "race without a run": unbegun,
    "bench": lambda: Report(cells=[bench_samples.cell(torch_fused=1.0)], errors={HOSTILE: "no"}),
    "bench of nothing": Report,
    "warmed": lambda: Warmed("adam", "float32", compiled=1, names=["a"]),
    "surface": lambda: run("saddle", ["gradient_descent", "adam"], steps=20),
    "sharpness": lambda: sharpness(Net(), entropy, [batch()], {HOSTILE: [flat(Net())]}),
    "landscape": lambda: around(Net(), entropy, [batch()], n=5),
    "minimize": lambda: minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(2), "l_bfgs"),
}
made = functools.cache(lambda name: RESULTS[name]())
DRAWN = (
    "choice",
    "telemetry",
    "overfit",
    "range test",
    "schedule",
    "race",
    "bench",
    "surface",
    "landscape",
    "sharpness",
    "minimize",
)
OTHERS = {
    "optimizer": lambda: measured()[1],
    "numpy optimizer": lambda: Optimizer("adam", [np.zeros(3)]),
    "accumulator": lambda: Accumulator(measured()[1], every=2),
    "logger": lambda: TelemetryLogger(measured()[1], to=lambda record: None),
    "live": lambda: live(measured()[1]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_readable_printed_and_in_a_notebook(name, capsys):
    result = made(name)
    capsys.readouterr()
    assert isinstance(result, Shown)
    for text in (str(result), repr(result)):
        assert text.strip() or name == "bench of nothing"
        assert not ADDRESS.search(text)
    found = Tags(result._repr_html_())
    assert "script" not in found.tags
    assert "pre" in found.tags


def shown_in(file: Path) -> list[str]:
    """The classes of a file that say they show themselves."""
    found = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]
    bases = {node.name: {ast.unparse(base) for base in node.bases} for node in found}
    return [name for name, of in bases.items() if of & {"Shown", "Pictured"} and name != "Pictured"]


def test_every_kind_of_result_is_among_those_tried():
    """A new result stands in RESULTS, or this fails; so the tests below are of all of them."""
    wanted = {name for file in Path(descend.__file__).parent.rglob("*.py") for name in shown_in(file)}
    tried = {kind.__name__ for name in RESULTS for kind in type(made(name)).__mro__}
    assert len(wanted) > 15
    assert wanted - tried == set()


@pytest.mark.parametrize("name", DRAWN)
def test_a_result_with_a_picture_draws_it_on_given_axes_and_in_a_notebook(name):
    result, ax = made(name), Figure().add_subplot()
    assert result.plot(ax=ax) is ax
    assert ax.lines or ax.collections or ax.patches
    assert name == "bench" or "svg" in Tags(result._repr_html_()).tags
    assert copy.copy(result).plot(ax=Figure().add_subplot())


def test_every_result_that_can_plot_is_among_those_drawn():
    drawn = {type(made(name)) for name in DRAWN}
    plots = {name: made(name) for name in RESULTS if hasattr(made(name), "plot")}
    assert [
        name for name, one in plots.items() if type(one) not in drawn and not isinstance(one, schedules.Schedule)
    ] == []


def test_a_search_draws_its_best_value_by_evaluation_as_it_was_at_the_time():
    seen = []
    found = minimize(lambda x: ((x - 1) ** 2).sum(), np.zeros(2), "cma_es", seed=0, budget=60, callback=seen.append)
    (line,) = found.chart().shapes
    assert (line.x[-1], line.y[-1]) == (found.nfev, found.fun)
    assert all(b <= a for a, b in itertools.pairwise(line.y))
    assert seen[3].chart().shapes[0].y[-1] == seen[3].fun > found.fun
    assert sorted(pickle.loads(pickle.dumps(found))) == sorted(found)
    assert OptimizeResult(nfev=0).chart().shapes == []


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_around_a_step_says_what_it_is(name):
    other = OTHERS[name]()
    assert not ADDRESS.search(str(other) + repr(other))


@pytest.mark.parametrize("name", ["telemetry", "alarm", "groups", "gradients", "rule"])
def test_markup_in_names_is_text(name):
    found = Tags(RESULTS[name]()._repr_html_())
    assert HOSTILE in found.text.replace("\n", "")


@pytest.mark.parametrize("name", ["endless schedule", "plateau"])
def test_what_has_a_curve_draws_it(name):
    assert "svg" in Tags(RESULTS[name]()._repr_html_()).tags


@pytest.mark.parametrize("name", ["rule", "chain", "matrix rule"])
def test_a_rule_shows_its_formula_and_its_source(name):
    found = Tags(RESULTS[name]()._repr_html_())
    assert "math" in found.tags
    assert "return p" in found.text


def test_a_rule_that_stands_in_no_file_shows_what_is_known():
    space = {"rule": rule, "zeros": zeros}
    exec("def typed(p, g, v=zeros, *, lr=0.1):\n    return p - lr * g, v", space)
    typed = rule(space["typed"])
    assert "&lt;rule typed(lr=0.1)&gt;" in typed._repr_html_()


def test_telemetry_prints_every_tensor_and_of_many_the_first():
    _, opt = measured()
    text = str(opt.telemetry)
    assert text.startswith("step 1 · lr 0.001\n")
    assert [line.split()[0] for line in text.splitlines()[1:-1]] == [
        "tensor",
        "all",
        HOSTILE,
        "inner.weight",
        "inner.bias",
    ]
    many = [torch.nn.Parameter(torch.ones(2)) for _ in range(45)]
    for p in many:
        p.grad = torch.ones(2)
    opt = AdamW(many, telemetry=True)
    assert "nothing measured yet" in str(opt.telemetry)
    opt.step()
    assert "… and 5 more in .tensors" in str(opt.telemetry)
    assert repr(opt.telemetry) == "<telemetry of AdamW: step 1, 45 tensors>"


def test_groups_are_a_list_that_prints_the_table_also_after_an_optimizer_took_them():
    groups = param_groups(Net(), 0.1, lr=1e-3, show=False)
    before = str(groups)
    assert isinstance(groups, list)
    assert "no decay: bias" in before
    AdamW(groups)
    assert str(groups) == before
    assert str(copy.deepcopy(groups)) == str(pickle.loads(pickle.dumps(groups))) == before
    groups.append({"params": torch.nn.Parameter(torch.ones(7)), "lr": 0.5})
    assert re.search(r"2\s+0\.5\s+1\s+7", str(groups))
    waiting = (p for p in [torch.nn.Parameter(torch.ones(7))])
    groups += [{"params": []}, {"params": waiting}]
    assert len(str(groups).splitlines()) == len(before.splitlines()) + 3
    assert len(list(waiting)) == 1


def test_muons_groups_say_who_steps_what():
    net = torch.nn.Sequential(torch.nn.Embedding(4, 8), torch.nn.Linear(8, 3))
    groups = muon_groups(net, show=False)
    assert [line.split()[-1] for line in str(groups).splitlines()[1::2]] == ["Muon", "AdamW"]
    assert "embedding: AdamW" in str(groups)


def test_an_optimizer_lists_what_matters():
    net = torch.nn.Linear(2, 2)
    text = repr(AdamW(net.parameters(), lr=0.5))
    assert text.splitlines()[1:] == ["  group 0: 2 tensors, lr=0.5, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01"]


def test_a_loss_by_step_is_drawn_on_given_axes():
    found, ax = overfitted(), Figure().add_subplot()
    assert found.plot(ax) is ax
    assert list(ax.lines[0].get_ydata()) == list(found.losses)
    assert any("\u2800" < sign < "\u28ff" for sign in found.draw())


def test_a_small_curve():
    drawn = svg(curve([0, 1, 2], [1.0, 3.0, 1.0], "a & b"), 400, 100)
    points = [
        tuple(map(float, p.split())) for p in re.search(r'class="line.*? d="M([^"]*)"', drawn).group(1).split("L")
    ]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert y0 == y2 > y1
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert 'aria-label="a &amp; b"' in svg(curve([0, 1], [1, 2], "a & b"))
    assert svg(curve([0], [1.0], "one point")) == ""
    assert svg(curve([0, 1], [float("nan"), float("inf")], "none")) == ""
    assert svg(curve([0, 1, 2], [1.0, float("nan"), 1.0], "level")).count('class="line') == 1
