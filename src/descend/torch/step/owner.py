"""What a step needs of an optimizer, and no more."""

from typing import Any, ClassVar, Protocol

from ..optim.spec import Spec
from ..optim.state import State


class Owner(Protocol):
    """The optimizer that a plan is made for, a checkpoint fits, a point is taken of.

    Attributes:
        param_groups: as torch's. spec: the class as data. steps: taken so far.
        state, _state: of every parameter; the first notes that it was handed out.
    """

    spec: ClassVar[Spec]
    param_groups: Any
    steps: int
    _options: Any
    _state: State
    _plan: Any
    _successor: Any  # what it was switched to
    _zero: Any  # whether ZeRO made it, and of which group
    # where the parameters are: see ``optim/points.py`` and ``optim/dry.py``
    _elsewhere: Any
    _apart: Any
    _inside: Any
    _came: Any
    _begun: Any
    _dry: Any
    _scheduled: Any
    _said_anew: Any
    skipped: int

    def train(self) -> Any: ...

    def _follow(self) -> Any: ...

    @property
    def state(self) -> Any: ...

    @state.setter
    def state(self, value: Any) -> None: ...

    def loss_scale(self) -> float | None:
        """What a GradScaler multiplied the loss of this step by."""
        ...
