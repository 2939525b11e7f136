"""A training on the digits: right gradients, a split without a leak, runs paired by seed, annealed and repeatable."""

import numpy as np
import pytest

from descend.lab.tasks import digits, perceptron, torch_digits
from descend.lab.tasks.problem import Problem
from descend.lab.trials.annealing import annealed
from descend.lab.trials.train import train
from descend.lab.trials.trial import RAMP, SCHEDULES, Run, Trial, look_at, warmup


def short(rule: str, lr: float, seed: int, problem: Problem | None = None, steps: int = 60) -> Run:
    return train(Trial(rule, lr, seed, steps), problem or digits.problem())


def test_gradients_equal_central_differences():
    data = digits.load("float64")
    rng = np.random.default_rng(3)
    params = [p + 0.05 * rng.standard_normal(p.shape) for p in digits.init(5, "float64")]
    x, y = data.train_x[:32], data.train_y[:32]
    _, grads = perceptron.classify(params, x, y)
    h = 1e-6
    for p, g in zip(params, grads, strict=True):
        for k in rng.choice(p.size, size=min(p.size, 25), replace=False):
            kept = p.flat[k]
            p.flat[k] = kept + h
            above, _ = perceptron.classify(params, x, y)
            p.flat[k] = kept - h
            below, _ = perceptron.classify(params, x, y)
            p.flat[k] = kept
            assert g.flat[k] == pytest.approx((above - below) / (2 * h), abs=2e-8)


def test_loss_of_a_confident_mistake_is_finite():
    params = [np.zeros((64, 64)), np.zeros(64), np.zeros((64, 10)), np.array([1e4] + [0.0] * 9)]
    loss, grads = perceptron.classify(params, np.ones((1, 64)), np.array([3]))
    assert loss == pytest.approx(1e4)
    assert all(np.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_keep_shape_and_dtype(dtype: str):
    data, params = digits.load(dtype), digits.init(0, dtype)
    _, grads = perceptron.classify(params, data.train_x[:8], data.train_y[:8])
    assert [(g.shape, g.dtype) for g in grads] == [(p.shape, np.dtype(dtype)) for p in params]


def test_the_data_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    mine = digits.read_digits()
    assert np.array_equal(mine[0], images)
    assert np.array_equal(mine[1], labels)


@pytest.mark.parametrize("share", [None, torch_digits.HELD])
def test_the_split_is_fixed_stratified_and_covers_all(share: float | None):
    data = digits.load() if share is None else digits.load(share=share)
    assert sorted([*data.train_rows, *data.val_rows]) == list(range(1797))
    shares = np.bincount(data.val_y) / (np.bincount(data.train_y) + np.bincount(data.val_y))
    assert np.all(np.abs(shares - (share or 0.5)) < 0.005)


def test_the_card_counts_the_images_of_its_own_split():
    data, problem = digits.load(), digits.problem()
    counts = f"{len(data.train_y)} images for training, {len(data.val_y)} for validation"
    assert digits.TASK.split == f"fixed, stratified: {counts}"
    assert (len(problem.train[1]), len(problem.validation[1])) == (len(data.train_y), len(data.val_y))
    assert len(torch_digits.Batches(0).y) == 1438  # more to train on, as docs/kfac.md and docs/minimize.md have it


def test_the_split_does_not_change():
    data = digits.load()
    digits.load.cache_clear()
    assert np.array_equal(digits.load().val_rows, data.val_rows)


def test_the_card_tells_what_is_trained_on():
    task, problem = digits.TASK, digits.problem()
    split = (
        f"fixed, stratified: {len(problem.train[1]):,} images for training, {len(problem.validation[1])} for validation"
    )
    assert task.split == split
    assert f"{sum(p.size for p in problem.init(0)):,} parameters" in task.model


def test_a_regression_has_the_gradient_of_its_loss():
    rng = np.random.default_rng(0)
    params = perceptron.initial(0, (5, 7, 2), "float64")
    x, y = rng.standard_normal((9, 5)), rng.standard_normal((9, 2))
    _, grads = perceptron.regress(params, x, y)
    for p, g in zip(params, grads, strict=True):
        for k in range(p.size):
            kept = p.flat[k]
            p.flat[k] = kept + 1e-6
            above, _ = perceptron.regress(params, x, y)
            p.flat[k] = kept - 1e-6
            below, _ = perceptron.regress(params, x, y)
            p.flat[k] = kept
            assert g.flat[k] == pytest.approx((above - below) / 2e-6, abs=1e-8)


class Spied:
    """A problem that notes the parameters and the images of every step, and what is validated."""

    def __init__(self, problem: perceptron.Perceptron) -> None:
        self.inner, self.seen, self.validated = problem, [], []

    def init(self, seed):
        return self.inner.init(seed)

    def batches(self, seed, steps):
        return self.inner.batches(seed, steps)

    def loss_and_grads(self, params, batch):
        self.seen.append((b"".join(p.tobytes() for p in params), batch[0].tobytes()))
        return self.inner.loss_and_grads(params, batch)

    def validate(self, params):
        self.validated.append([p.copy() for p in params])
        return self.inner.validate(params)


def spied(rule: str, lr: float, seed: int) -> Spied:
    spy = Spied(digits.problem())
    short(rule, lr, seed, spy)
    return spy


def test_no_validation_image_enters_training():
    problem = digits.problem()
    validation = {row.tobytes() for row in problem.validation[0]}
    assert len(validation) == len(problem.validation[0])
    size = problem.validation[0][0].nbytes
    trained = set()
    for _, images in spied("adam", 1e-3, 100).seen:
        trained |= {images[k : k + size] for k in range(0, len(images), size)}
    assert len(trained) > 870
    assert not trained & validation


def test_a_seed_gives_every_rule_the_same_start_and_the_same_images():
    adam, plain, other = (
        spied(*run).seen for run in (("adam", 1e-3, 100), ("gradient_descent", 1e-2, 100), ("adam", 1e-3, 101))
    )
    assert adam[0] == plain[0]
    assert [x for _, x in adam] == [x for _, x in plain]
    assert adam[-1][0] != plain[-1][0]
    assert adam[0][0] != other[0][0]
    assert adam[0][1] != other[0][1]


def test_a_run_is_looked_at_where_it_says_and_judged_by_its_last_tenth():
    spy = Spied(digits.problem())
    run = short("adam", 1e-2, 100, spy)
    assert len(spy.validated) == len(run.val_loss) == len(look_at(60))
    late = [x for at, x in zip(look_at(60), run.val_loss, strict=True) if at >= 54]
    assert run.loss == pytest.approx(sum(late) / len(late))


def test_a_rule_that_averages_is_judged_at_what_it_ships():
    spy = Spied(digits.problem())
    short("schedule_free_adamw", 1e-2, 100, spy)
    plain = spied("adamw", 1e-2, 100)
    assert not np.array_equal(spy.validated[-1][0], plain.validated[-1][0])
    from descend import rules
    from descend.optimizer import Optimizer

    params = digits.problem().init(100)
    optimizer = Optimizer(rules.schedule_free_adamw, params, lr=annealed("linear", 1e-2, 60))
    for batch in digits.problem().batches(100, 60):
        optimizer.step(digits.problem().loss_and_grads(optimizer.gradient_point(), batch)[1])
    assert np.array_equal(spy.validated[-1][0], optimizer.shipped_point()[0])
    assert not np.array_equal(spy.validated[-1][0], params[0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_begin_low_reach_the_rate_and_end_near_zero(name: str):
    steps, lr = 600, 0.3
    rates = [annealed(name, lr, steps)(k) for k in range(steps)]
    assert max(rates) == pytest.approx(lr)
    if name == "constant":
        assert set(rates) == {lr}
        return
    assert rates[0] == pytest.approx(lr / warmup(steps))
    assert rates[warmup(steps)] == pytest.approx(lr)
    assert 0 < rates[-1] < 0.01 * lr or name == "wsd"
    assert rates[-1] < 0.02 * lr
    assert annealed(name, lr, steps)(steps) == pytest.approx(0, abs=1e-12)


def test_a_range_test_raises_the_rate_and_stops_where_the_loss_explodes():
    run = train(Trial("gradient_descent", 1.0, 0, 200, RAMP), digits.problem())
    assert len(run.train_loss) <= 200
    assert run.train_loss[0] == pytest.approx(run.val_loss[0], rel=0.2)
    assert min(run.train_loss) < 0.5 * run.train_loss[0]


def test_training_learns_and_repeats_itself():
    one, two = (short("adam", 1e-2, 100) for _ in range(2))
    assert one.val_loss == two.val_loss
    assert one.loss < 0.5 * one.val_loss[0]
    assert one.accuracy > 0.9
    assert 0 < one.step_ms < one.train_step_ms
    assert one.diverged_at is None


def test_a_look_ahead_rule_takes_its_gradient_ahead():
    ahead, rewritten = (short(rule, 1e-2, 100) for rule in ("nesterov_lookahead", "nesterov_rewritten"))
    # Two spellings of one path, seen at two points of it: the batch losses are those of the same points.
    assert ahead.train_loss == pytest.approx(rewritten.train_loss, rel=1e-3)
    assert ahead.val_loss != rewritten.val_loss


def test_a_diverging_run_stops_and_says_where():
    run = short("gradient_descent", 1e9, 100)
    assert run.diverged_at is not None
    assert run.diverged_at < 60
    assert run.loss == float("inf")
    assert run.accuracy == 0


def test_epochs_are_shuffled_and_whole():
    rows = perceptron.shuffled(7, 50, 64, 1438)
    assert rows.shape == (50, 64)
    first, second = rows[:22].ravel(), rows[22:44].ravel()
    assert len(set(first)) == len(first)
    assert not np.array_equal(first, second)
