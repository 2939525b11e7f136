"""Whether a rate carries over: asked at 500 steps and used at 4000; asked at width 64 and used at 512."""

from dataclasses import dataclass, replace

from descend.lab.choosing.answer import Choice
from descend.lab.choosing.lattice import grown, nearest, rate
from descend.lab.notebook import Given, Notebook
from descend.lab.store import Store
from descend.lab.tasks import digits
from descend.lab.tasks.images import denoiser, logistic
from descend.lab.tasks.perceptron import Perceptron
from descend.lab.tasks.task import Task
from descend.lab.trials.trial import Trial

from .judge import choice, mean_loss
from .sweep import FULL_SEEDS

STEPS, TIMES = 500, 8
WIDTHS = (64, 512)
WIDEST = 15


@dataclass(frozen=True)
class Carried:
    """A rate that was asked for at one size and used at another; places are quarter decades of the rate."""

    rule: str
    schedule: str
    asked: float  # the rate for the size that was asked for
    said: float  # the rate that the choice gives for the other one
    best: float  # the best one there, of the lattice
    doubts: int  # of the choice for the other size
    behind: float  # the loss at `said` above that at `best`, as a part of what was gained there

    @property
    def factor(self) -> float:
        return self.said / self.best


def carried(small: Notebook, large: Notebook, runs: float, seed: int, horizon: int | None) -> Carried:
    """Choose at the steps of the small one's card, and look for the best rate of that rule in the large one.

    Args:
        horizon: to which the choice carries its rate by itself; None: it gives the one that was asked for.
    """
    found = choice(small, runs, seed)
    there = found if horizon is None else found.at(horizon)
    said = there.lr
    middle = nearest(said)
    losses: dict[int, float] = {}
    places = list(range(middle - 2, middle + 3))
    while True:
        losses |= {k: _loss(large, found, k) for k in places if k not in losses}
        wider = grown(places, losses.__getitem__, 2, WIDEST)
        if wider == places:
            break
        places = wider
    best = min(losses, key=lambda k: (losses[k], k))
    start = large.run(Trial(found.rule, rate(best), FULL_SEEDS[0], large.card.steps, found.schedule)).val_loss[0]
    behind = (losses[middle] - losses[best]) / (start - losses[best])
    return Carried(found.rule, found.schedule, found.lr, said, rate(best), len(there.doubts), behind)


def _loss(notebook: Notebook, found: Choice, k: int) -> float:
    return mean_loss(notebook, found.rule, rate(k), found.schedule)


def longer(task: str, store: Store) -> tuple[Notebook, Notebook]:
    """A task at 500 steps, and at eight times as many."""
    card, problem = {
        "digits": (digits.TASK, digits.problem),
        "denoiser": (denoiser.TASK, denoiser.problem),
        "digits-logistic": (logistic.TASK, logistic.problem),
    }[task]
    small, large = (Notebook(Given(problem(), replace(card, steps=n)), store) for n in (STEPS, STEPS * TIMES))
    return small, large


def wider(task: str, store: Store) -> tuple[Notebook, Notebook]:
    """A task with its hidden layer at both widths, at 500 steps."""
    small, large = (Notebook(Given(*_wide(task, width)), store) for width in WIDTHS)
    return small, large


def _wide(task: str, width: int) -> tuple[Perceptron, Task]:
    card, made = {"digits": (digits.TASK, digits.problem()), "denoiser": (denoiser.TASK, denoiser.problem())}[task]
    layers = (made.layers[0], width, made.layers[-1])
    problem = type(made)(layers, made.train, made.validation, made.batch)
    return problem, replace(
        card, steps=STEPS, model=f"MLP {'-'.join(map(str, layers))}, ReLU, He initialisation, float32"
    )
