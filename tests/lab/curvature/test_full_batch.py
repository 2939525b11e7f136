"""The table of methods at equal gradient equivalents: what is counted, and that each method takes steps."""

import pytest
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.curvature.full_batch import TRIALS, Task, one_gradient, stepper, table, train


@pytest.mark.parametrize("method", TRIALS)
def test_two_steps_lower_the_loss_of_all_images(method):
    task = Task(0)
    loss, logits = task.loss()
    assert float(loss.detach()) == float(binary_cross_entropy_with_logits(logits, task.x).detach())
    step = stepper(task, method, TRIALS[method][0])
    for gone in (0.0, 0.5):
        step(gone)
    assert float(task.loss()[0].detach()) < float(loss.detach())


def test_a_gradient_is_forward_and_twice_back():
    images, weights = len(Task(0).x), sum(p.numel() for p in Task(0).model.parameters() if p.dim() == 2)
    first = 64 * 64  # nobody asks for the gradient by the images
    assert one_gradient() == 2 * images * (3 * weights - first)


@pytest.mark.parametrize(("method", "steps"), [("adam, all images", 3), ("adam, batches of 128", 33)])
def test_adam_has_as_many_steps_as_the_work_allows(method, steps):
    found = train(method, {"lr": 1e-2}, 0, 3.0)
    assert found.steps == steps
    assert 3.0 - 3.0 / steps < found.work <= 3.0


def test_fewer_images_cost_less_and_a_step_too_far_is_taken_back():
    steps = {method: train(method, {"damping": 0.1}, 0, 30.0) for method in TRIALS if method.startswith("hessian")}
    assert all(0 < one.work <= 30.0 for one in steps.values())
    assert steps["hessian_free, curvature of an eighth"].steps > steps["hessian_free"].steps
    none = train("hessian_free", {"damping": 0.1}, 0, 1.0)
    assert (none.steps, none.work) == (0, 0)
    assert none.loss == float(Task(0).loss()[0].detach())


def test_the_table_has_a_line_for_each_method():
    row = {"settings": "lr 0.01", "trials": 5, "loss": 0.25, "steps": 1234, "work": 300.4, "seconds": 4.0}
    text = table([
        {**row, "method": "adam, all images", "losses": [0.25, 0.26, 0.24], "below": [0, 0]},
        {**row, "method": "newton_cg", "losses": [0.23, 0.24, 0.25], "below": [2, 1]},
    ])  # fmt: skip
    assert text.splitlines()[-1] == (
        "| newton_cg, lr 0.01 | 5 | 0.2500 | 0.2300 to 0.2500 | 2 · 1 of 3 | 1,234 | 300 | 4.0 |"
    )
