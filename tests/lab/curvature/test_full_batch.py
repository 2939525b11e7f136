"""The table of methods on all images at once: its loss, and that each method takes steps on it."""

import pytest
from torch.nn.functional import binary_cross_entropy_with_logits

from descend.lab.curvature.full_batch import METHODS, Task, stepper, table


@pytest.mark.parametrize("method", METHODS)
def test_two_steps_lower_the_loss_of_all_images(method):
    task = Task(0)
    loss, logits = task.loss()
    assert float(loss.detach()) == float(binary_cross_entropy_with_logits(logits, task.x).detach())
    step = stepper(task.model, method, task.loss)
    for _ in range(2):
        step()
    assert float(task.loss()[0].detach()) < float(loss.detach())


def test_the_table_has_a_line_for_each_method():
    text = table([{"method": "adam, lr 0.01", "loss": 0.25, "steps": 1234}])
    assert text.splitlines()[-1] == "| adam, lr 0.01 | 0.2500 | 1,234 |"
