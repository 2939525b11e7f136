"""The digits task: right gradients, a split without a leak, and runs that are paired by seed."""

import numpy as np
import pytest

from descend.lab.race import train
from descend.lab.race.race import Config
from descend.lab.race.record import TASK
from descend.lab.tasks import digits

SHORT = Config(("adam", "lion"), steps=60)


def test_gradients_equal_central_differences():
    data = digits.load("float64")
    rng = np.random.default_rng(3)
    params = [p + 0.05 * rng.standard_normal(p.shape) for p in digits.init(5, "float64")]
    x, y = data.train_x[:32], data.train_y[:32]
    _, grads = digits.loss_and_grads(params, x, y)
    h = 1e-6
    for p, g in zip(params, grads, strict=True):
        for k in rng.choice(p.size, size=min(p.size, 25), replace=False):
            kept = p.flat[k]
            p.flat[k] = kept + h
            above, _ = digits.loss_and_grads(params, x, y)
            p.flat[k] = kept - h
            below, _ = digits.loss_and_grads(params, x, y)
            p.flat[k] = kept
            assert g.flat[k] == pytest.approx((above - below) / (2 * h), abs=2e-8)


def test_loss_of_a_confident_mistake_is_finite():
    params = [np.zeros((64, 64)), np.zeros(64), np.zeros((64, 10)), np.array([1e4] + [0.0] * 9)]
    loss, grads = digits.loss_and_grads(params, np.ones((1, 64)), np.array([3]))
    assert loss == pytest.approx(1e4)
    assert all(np.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_keep_shape_and_dtype(dtype: str):
    data, params = digits.load(dtype), digits.init(0, dtype)
    _, grads = digits.loss_and_grads(params, data.train_x[:8], data.train_y[:8])
    assert [(g.shape, g.dtype) for g in grads] == [(p.shape, np.dtype(dtype)) for p in params]


def test_the_data_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    mine = digits.read_digits()
    assert np.array_equal(mine[0], images)
    assert np.array_equal(mine[1], labels)


def test_the_split_is_fixed_stratified_and_covers_all():
    data = digits.load()
    assert sorted([*data.train_rows, *data.val_rows]) == list(range(1797))
    shares = np.bincount(data.val_y) / (np.bincount(data.train_y) + np.bincount(data.val_y))
    assert np.all(np.abs(shares - 0.2) < 0.005)
    digits.load.cache_clear()
    assert np.array_equal(digits.load().val_rows, data.val_rows)
    assert (
        TASK["split"]
        == f"fixed, stratified: {len(data.train_y):,} images for training, {len(data.val_y)} for validation"
    )
    assert f"{sum(p.size for p in digits.init(0)):,} parameters" in TASK["model"]


def spied(monkeypatch: pytest.MonkeyPatch, rule: str, lr: float, seed: int) -> list[tuple[bytes, bytes]]:
    """Parameters and images of every training step."""
    seen = []
    inner = digits.loss_and_grads

    def spy(params, x, y):
        seen.append((b"".join(p.tobytes() for p in params), x.tobytes()))
        return inner(params, x, y)

    with monkeypatch.context() as patch:
        patch.setattr(digits, "loss_and_grads", spy)
        train.train(rule, lr, seed, SHORT)
    return seen


def test_no_validation_image_enters_training(monkeypatch: pytest.MonkeyPatch):
    data = digits.load()
    validation = {row.tobytes() for row in data.val_x}
    assert len(validation) == len(data.val_x)
    size = data.val_x[0].nbytes
    trained = set()
    for _, images in spied(monkeypatch, "adam", 1e-3, 100):
        trained |= {images[k : k + size] for k in range(0, len(images), size)}
    assert len(trained) > 1400
    assert not trained & validation


def test_a_seed_gives_every_rule_the_same_start_and_the_same_images(monkeypatch: pytest.MonkeyPatch):
    adam = spied(monkeypatch, "adam", 1e-3, 100)
    plain = spied(monkeypatch, "gradient_descent", 1e-2, 100)
    other = spied(monkeypatch, "adam", 1e-3, 101)
    assert adam[0] == plain[0]
    assert [x for _, x in adam] == [x for _, x in plain]
    assert adam[-1][0] != plain[-1][0]
    assert adam[0][0] != other[0][0]
    assert adam[0][1] != other[0][1]


def test_a_run_is_judged_on_the_validation_images(monkeypatch: pytest.MonkeyPatch):
    judged = []
    inner = digits.evaluate
    monkeypatch.setattr(digits, "evaluate", lambda params, x, y: judged.append((x, y)) or inner(params, x, y))
    train.train("adam", 1e-2, 100, SHORT)
    data = digits.load()
    assert len(judged) == 31
    assert all(np.array_equal(x, data.val_x) and np.array_equal(y, data.val_y) for x, y in judged)


def test_training_learns_and_repeats_itself():
    one, two = (train.train("adam", 1e-2, 100, SHORT) for _ in range(2))
    assert one.val_loss == two.val_loss
    assert one.loss < 0.5 * one.val_loss[0]
    assert one.accuracy > 0.9
    assert 0 < one.step_ms < one.train_step_ms
    assert one.diverged_at is None


def test_a_look_ahead_rule_takes_its_gradient_ahead():
    ahead, rewritten = (train.train(rule, 1e-2, 100, SHORT) for rule in ("nesterov_lookahead", "nesterov_rewritten"))
    # Two spellings of one path, seen at two points of it: the batch losses are those of the same points.
    assert ahead.train_loss == pytest.approx(rewritten.train_loss, rel=1e-3)
    assert ahead.val_loss != rewritten.val_loss


def test_a_diverging_run_stops_and_says_where():
    run = train.train("gradient_descent", 1e9, 100, SHORT)
    assert run.diverged_at is not None
    assert run.diverged_at < 60
    assert run.loss == float("inf")
    assert run.accuracy == 0


def test_epochs_are_shuffled_and_whole():
    rows = digits.batches(7, 50, 64, 1438)
    assert rows.shape == (50, 64)
    first, second = rows[:22].ravel(), rows[22:44].ravel()
    assert len(set(first)) == len(first)
    assert not np.array_equal(first, second)
