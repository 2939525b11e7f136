"""`find_lr`: what it finds, every form of loop it takes, what it refuses before anything moves."""

import json
import math

import pytest
import torch
from range_tests import FEW, Loop, regression
from torch.nn.functional import cross_entropy, mse_loss

import descend.torch as ours
from descend import rules, schedules
from descend.torch import LRFinding, find_lr
from descend.torch.learning_rate.strategy import EXTENSION


@pytest.fixture(scope="module")
def found() -> LRFinding:
    model, batches = regression()
    return find_lr(model, torch.optim.SGD(model.parameters(), lr=0.01), mse_loss, batches)


def test_the_rate_lies_where_theory_has_it(found):
    """Gradient descent on this quadratic is stable below 2/λ, and fast within a decade below that."""
    _, batches = regression()
    x = torch.cat([torch.cat([x, torch.ones(16, 1)], 1) for x, _ in batches])
    stable = 2 / float(torch.linalg.eigvalsh(2 * x.T @ x / len(x)).max())
    assert stable / 30 <= found.lr <= stable
    assert stable / 10 <= found.widest_stable <= 2 * stable
    assert found.diverged_at > stable


def test_a_finding_has_all_its_parts(found):
    assert list(found.suggestions) == ["valley", "steepest", "minimum/10", "slide"]
    assert found.band[0] <= found.median <= found.band[1]
    assert found.plateau[0] == found.lr <= found.plateau[1]
    assert found.one_cycle[0] < found.one_cycle[1] == found.widest_stable
    assert found.confidence == "high"
    assert found.reason.startswith(f"{found.lr:.2g} ")
    assert found.reason.endswith(".")
    assert len(found.curves) == 3
    assert found.curve.lr.shape == found.curve.raw.shape == found.curve.smoothed.shape
    assert found.evaluations <= 1500
    assert found.multiplier == found.lr / 0.01
    assert repr(found) == f"LRFinding(lr={found.lr:.2g}, rule='SGD', confidence='high')"
    document = json.loads(found.to_json())
    assert document["lr"] == found.lr
    assert len(document["curves"][0]["raw"]) == len(found.curve.raw)


def test_it_trains_at_most_what_it_says():
    model, batches = regression()
    for steps, repeats, probes in ((300, 3, 8), (40, 2, 5)):
        seen = []
        found = find_lr(
            model, ours.Adam, mse_loss, batches, steps=steps, repeats=repeats, probes=probes, high=1.0,
            progress=lambda done, most, seen=seen: seen.append((done, most)),
        )  # fmt: skip
        assert found.evaluations <= steps * repeats + probes * (steps // 4) + steps * bool(found.evidence.extended)
        assert seen[-1][0] == found.evaluations
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_two_calls_find_the_same():
    loop = Loop("ours Adam")
    first, second = (find_lr(loop.model, loop.opt, loop.loss, loop.loader, **FEW) for _ in range(2))
    assert first.lr == second.lr
    assert [c.raw.tolist() for c in first.curves] == [c.raw.tolist() for c in second.curves]


def test_repeats_see_other_batches_and_probes_the_same():
    loop, seen = Loop("torch SGD"), []

    def loss_fn(model, batch):
        seen.append(float(batch[0].sum()))
        return cross_entropy(model(batch[0]), batch[1])

    found = find_lr(loop.model, loop.opt, loss_fn, loop.loader, steps=20, repeats=2, probes=3, high=0.05)
    first, second = seen[:20], seen[20:40]
    assert first != second
    probes = [seen[-5 * (k + 1) : len(seen) - 5 * k] for k in range(len(found.probes))]
    assert len(probes) > 1
    assert all(probe == first[:5] for probe in probes)


@pytest.mark.parametrize(
    "optimizer",
    [torch.optim.Adam, ours.AdamW, rules.adamw, "adamw", "muon"],
    ids=["torch's class", "our class", "rule", "name", "matrix rule"],
)
def test_a_class_or_a_rule_stands_for_an_optimizer_with_its_defaults(optimizer):
    model, batches = regression()
    found = find_lr(model, optimizer, mse_loss, batches, **FEW)
    assert found.bases == (1e-3,)
    assert found.range == pytest.approx((1e-6, 10.0)) or found.evidence.extended


@pytest.mark.parametrize(
    ("kind", "low"),
    [("adam", 1e-6), ("lion", 1e-7), ("rmsprop", 1e-5), ("schedule_free_sgd", 1e-3), (torch.optim.LBFGS, 1e-3)],
)
def test_the_range_follows_the_rules_default(kind, low):
    model, batches = regression()
    found = find_lr(model, kind, mse_loss, batches, **FEW)
    start = found.range[0] * (EXTENSION if found.evidence.extended == "down" else 1)
    assert start == pytest.approx(low)


def test_a_schedule_is_compared_by_its_peak():
    model, batches = regression()
    opt = ours.SGD(model.parameters(), lr=0.03 * (schedules.linear_warmup(10) >> schedules.cosine(90)))
    assert find_lr(model, opt, mse_loss, batches, **FEW).bases == pytest.approx((0.03,), rel=0.01)


def test_a_short_loader_is_read_again_and_again():
    model, batches = regression()
    found = find_lr(model, "adam", mse_loss, batches[:2], **FEW)
    assert len(found.curve.raw) == 20 or found.diverged_at


@pytest.mark.parametrize("known", [True, False], ids=["a list", "of unknown length"])
def test_one_batch_that_is_all_there_is(known):
    model, batches = regression()
    whole = batches[:1] if known else type("Unsized", (), {"__iter__": lambda _: iter(batches[:1])})()
    found = find_lr(model, "adam", mse_loss, whole, full_batch=True, **FEW)
    assert len(found.curve.raw) == 20 or found.diverged_at


def test_the_look_at_a_loader_without_a_length_takes_no_batch_from_the_run():
    class Shuffled:
        def __init__(self):
            self.generator = torch.Generator().manual_seed(5)

        def __iter__(self):
            return (batches[k] for k in torch.randperm(len(batches), generator=self.generator).tolist())

    class Sized(Shuffled):
        def __len__(self):
            return len(batches)

    model, batches = regression()
    found = [find_lr(model, "adam", mse_loss, kind(), **FEW).curve.raw.tolist() for kind in (Shuffled, Sized)]
    assert found[0] == found[1]


def test_a_minimum_at_an_end_extends_the_range_once():
    model, batches = regression()
    up = find_lr(model, "gradient_descent", mse_loss, batches, low=1e-7, high=1e-3)
    assert (up.evidence.extended, up.range) == ("up", (1e-7, 1.0))
    assert "extended upwards once" in up.reason
    down = find_lr(model, "gradient_descent", mse_loss, batches, low=3.0, high=1e4)
    assert down.evidence.extended == "down"
    assert down.range[0] == pytest.approx(3e-3)
    usual = find_lr(model, "gradient_descent", mse_loss, batches)
    assert usual.lr / 3 <= up.lr <= usual.lr * 3
    assert usual.lr / 3 <= down.lr <= usual.lr * 3


def test_a_curve_that_never_falls_gets_low_confidence_and_says_why():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    noise = [torch.randn(8, 3) for _ in range(5)]
    found = find_lr(
        model, "adam", lambda model, batch: 5 + batch.std() + 1e-6 * model(batch).mean(), noise, high=1e-3, **FEW
    )
    assert found.confidence == "low"
    assert "hardly fell" in found.reason
    assert found.lr == 1e-3  # what it had
    assert "nothing speaks for another" in found.reason


def test_negative_losses_are_judged_by_what_they_gain():
    model, batches = regression()
    found = find_lr(model, "gradient_descent", lambda o, t: mse_loss(o, t) - 100, batches)
    plain = find_lr(model, "gradient_descent", mse_loss, batches)
    assert found.diverged_at is not None
    assert plain.lr / 5 <= found.lr <= plain.lr * 5


def test_a_rule_that_finds_its_rate_itself_is_told():
    model, batches = regression()
    assert "1 is its usual lr" in find_lr(model, "prodigy", mse_loss, batches, **FEW).reason
    assert "usual lr" not in find_lr(model, "adam", mse_loss, batches, **FEW).reason


def test_without_probes_the_curve_decides():
    model, batches = regression()
    found = find_lr(model, "adam", mse_loss, batches, probes=0)
    assert found.lr == found.median
    assert "no probes, the curve alone decided" in found.reason
    assert found.confidence != "high"
    assert found.plateau == found.band


def test_numbers_are_finite_or_none_in_json():
    model, batches = regression()
    calls = []

    def loss_fn(output, target):
        calls.append(1)
        return mse_loss(output, target) * (math.inf if len(calls) == 40 else 1)

    found = find_lr(model, "gradient_descent", loss_fn, batches, low=1e-3, high=10.0, steps=60)
    raw = json.loads(found.to_json())["curves"][0]["raw"]
    assert len(raw) == 40
    assert raw[-1] is None
