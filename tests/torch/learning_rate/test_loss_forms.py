"""What a loss function takes is said, or guessed from names; a wrong guess explains itself. Small models: one thread"""

import pytest
import torch
from torch.nn.functional import mse_loss

from descend.torch import SGD, find_lr, initial_loss, overfit_one_batch
from descend.torch.loop import threads
from descend.torch.loop.loss import objective

MODEL = torch.nn.Linear(2, 1)
BATCH = (torch.ones(4, 2), torch.zeros(4, 1))
EXPECTED = mse_loss(MODEL(BATCH[0]), BATCH[1])


def of(loss_fn, form=None):
    return objective(MODEL, loss_fn, form)(BATCH)


@pytest.mark.parametrize(
    "loss_fn",
    [
        lambda model, b: mse_loss(model(b[0]), b[1]),
        lambda m, batch: mse_loss(m(batch[0]), batch[1]),
        lambda net, data: mse_loss(net(data[0]), data[1]),
        lambda f, batch: mse_loss(f(batch[0]), batch[1]),
        lambda output, target: mse_loss(output, target),
        lambda a, b: mse_loss(a, b),
        lambda logits, batch: mse_loss(logits, batch),
        mse_loss,
        torch.nn.MSELoss(),
    ],
)
def test_names_say_what_a_loss_takes(loss_fn):
    assert torch.equal(of(loss_fn), EXPECTED)


@pytest.mark.parametrize("names", ["a, b", "model, batch", "output, target"])
def test_a_form_that_is_said_overrides_the_names(names):
    takes_model = eval(f"lambda {names}: loss({names})", {"loss": lambda m, b: mse_loss(m(b[0]), b[1])})
    takes_output = eval(f"lambda {names}: loss({names})", {"loss": mse_loss})
    assert torch.equal(of(takes_model, "model, batch"), EXPECTED)
    assert torch.equal(of(takes_output, "output, target"), EXPECTED)


@pytest.mark.parametrize(
    ("loss_fn", "other"),
    [
        (lambda a, b: mse_loss(a(b[0]), b[1]), "model, batch"),
        (lambda model, batch: mse_loss(model, batch), "output, target"),
        (lambda model, y: (model - y).square().mean(), "output, target"),
    ],
)
def test_a_wrong_guess_says_how_to_say_it(loss_fn, other):
    with pytest.raises(TypeError, match=f"guessed from its parameters.*form='{other}'"):
        of(loss_fn)


def test_an_error_of_a_form_that_was_said_is_the_users_own():
    with pytest.raises(TypeError, match=r"^.Tensor. object is not callable$"):
        of(lambda a, b: a(b), "output, target")


def test_unknown_forms_are_refused():
    with pytest.raises(ValueError, match="'model, batch' or 'output, target'"):
        of(mse_loss, "pair")
    with pytest.raises(ValueError, match="there is no loss_fn"):
        of(None, "model, batch")


def test_every_function_that_takes_a_loss_takes_its_form():
    model = torch.nn.Linear(2, 3)
    batch = (torch.ones(4, 2), torch.tensor([0, 1, 2, 0]))

    def loss(a, b):
        return torch.nn.functional.cross_entropy(a(b[0]), b[1])

    opt = SGD(model.parameters(), lr=0.1)
    assert initial_loss(model, loss, batch, 3, form="model, batch").loss > 0
    assert len(overfit_one_batch(model, opt, loss, batch, 3, form="model, batch").losses) == 4
    assert find_lr(model, opt, loss, [batch, batch], steps=12, repeats=1, probes=0, form="model, batch").lr > 0


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize(
    ("model", "x", "small"),
    [
        (torch.nn.Linear(64, 10), torch.zeros(32, 64), True),
        (torch.nn.Linear(784, 1024), torch.zeros(64, 784), False),
        (torch.nn.Conv2d(1, 8, 3), torch.zeros(2, 1, 8, 8), True),
        (torch.nn.Conv2d(3, 64, 3), torch.zeros(64, 3, 32, 32), False),
        (torch.nn.Embedding(50, 16), torch.zeros(8, 12, dtype=torch.long), True),
    ],
)
def test_small_is_said_by_parameters_and_rows(model, x, small):
    assert threads.small([*model.parameters(), *model.parameters()], (x, torch.zeros(len(x)))) is small


def test_a_small_search_runs_in_one_thread_and_leaves_torchs_number():
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        model = torch.nn.Linear(2, 1)

        def loss(output, target):
            seen.add(torch.get_num_threads())
            return mse_loss(output, target)

        find_lr(model, SGD(model.parameters(), lr=0.1), loss, [BATCH, BATCH], steps=12, repeats=1, probes=1)
        assert 1 in seen
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError):
            find_lr(model, SGD(model.parameters(), lr=0.1), lambda output, target: 1 / 0, [BATCH, BATCH])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
