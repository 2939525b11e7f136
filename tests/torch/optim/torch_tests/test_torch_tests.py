"""What torch asserts of each of its optimizers, asserted of our class of the same name.

The settings, the wrong settings and the schedulers are the ones of the installed torch (``optim_db``); the checks are
those of its ``TestOptimRenewed`` that a machine without a GPU can run, under the same names. ``torch_tests_excused``
lists what does not hold and why. A check must fail for exactly the settings that are listed there, so that the list
can neither hide a new fault nor keep an old one.
"""

from __future__ import annotations

from fnmatch import fnmatchcase as fnmatch

import pytest
import torch
import torch_tests_saved  # noqa: F401 - its checks
from torch_tests_excused import EXCUSED
from torch_tests_steps import CHECKS, INFOS, Case, _decorated

pytestmark = pytest.mark.usefixtures("one_thread")

SLOW = {
    "forloop_goes_right_direction", "foreach_matches_forloop", "fused_matches_forloop", "rosenbrock_sparse",
    "tensor_lr",
    "state_dict_deterministic", "can_load_from_to_named_state_dict", "param_groups_weight_decay", "param_groups_lr",
    "can_load_older_state_dict", "save_load_equality_with_weights_only",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of torch's schedulers, of sparse invariants, of repeated parameters
@pytest.mark.parametrize("optimizer", INFOS)
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in CHECKS])
def test_as_torch_tests_its_own(name: str, optimizer: str) -> None:
    info = INFOS[optimizer]
    if _decorated(name.rstrip("_"), info, torch.float32).get("__unittest_skip__"):
        pytest.skip("torch skips it too")
    case = Case(name.rstrip("_"), info)
    CHECKS[name](case)
    lines = [(on, settings) for check, on, settings, _ in EXCUSED if fnmatch(name, check) and fnmatch(optimizer, on)]
    excused = {tried for tried in case.tried if any(fnmatch(tried, settings) for _, settings in lines)}
    assert not {what: why for what, why in case.failed.items() if what not in excused}
    assert excused <= case.failed.keys(), "no longer fails: take it off the list"
    for on, settings in lines:
        assert on == "*" or any(fnmatch(what, settings) for what in case.failed), f"{settings!r} is of no setting"


def test_every_line_is_of_something_and_says_why() -> None:
    for check, on, _, why in EXCUSED:
        assert any(fnmatch(name, check) for name in CHECKS), check
        assert any(fnmatch(name, on) for name in INFOS), on
        assert len(why) > 20
