"""How long a run of each task takes: processor time on one thread, which the load of the machine does not add to."""

from collections.abc import Iterator
from time import process_time

from descend.lab.tasks.catalogue import MODULES
from descend.lab.tasks.source import Source, lacking
from descend.lab.trials.train import train, warm_up
from descend.lab.trials.trial import Trial

RULE, LR = "adamw", 1e-3


def seconds(names: tuple[str, ...] = tuple(MODULES)) -> Iterator[tuple[str, float, float]]:
    """The name of each task whose data are here, the processor seconds of one run of it, and what its card says."""
    for name in names:
        source = Source(name)
        card = source.card()
        if lacking(card):
            continue
        problem = source.problem()
        warm_up(RULE, problem)
        train(Trial(RULE, LR, 0, 10), problem)
        begin = process_time()
        train(Trial(RULE, LR, 0, card.steps), problem)
        yield name, process_time() - begin, card.seconds
