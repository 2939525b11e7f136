"""A choice for a task of the lab, or for what somebody brings: its runs go through worker processes and the store."""

import math
from collections.abc import Callable
from contextlib import closing
from threading import TIMEOUT_MAX, Event, Timer
from time import perf_counter

from ..notebook import Notebook
from ..trials.runners.runner import RuleFailed, RuleReady, RunDone
from ..trials.trial import Run
from .answer import Choice, answer
from .outcomes import Outcome
from .strategy import Asked, Choosing


def outcome(run: Run) -> Outcome:
    """A run of the lab as the strategy reads it."""
    loss = run.loss
    return Outcome(run.trial, loss if math.isfinite(loss) else math.inf, run.val_loss[0], run.train_step_ms / 1e3)


def choose_on(
    notebook: Notebook,
    asked: Asked,
    seconds: float,
    progress: Callable[[float, float], object] | None = None,
    *,
    look: Callable[[Choosing], object] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Choice:
    """Choose for the task of a notebook. What an earlier choice has run is not run again.

    Args:
        seconds: on the clock, after which it ends with what there is: runs that are on their way in worker processes
            end, too, and a run in this process is the last.
        progress: called with the part of the budget that is spent, and 1.
        look: called with the choice on its way, after each run; it reads and changes nothing.
        stopped: whether to end, as by Ctrl-C; who says so from another thread ends the notebook's runner, too.
    Raises:
        ValueError: as `descend.lab.choosing.answer.answer`; a budget that is too small.
        KeyboardInterrupt: before there is anything to answer with.
    """
    begun = perf_counter()
    choosing, over = Choosing(asked), Event()
    processes = getattr(notebook.runner, "processes", None) or 1
    ready: dict[str, float] = {}  # when the kernels of a rule were compiled

    def end() -> None:
        over.set()  # first: a worker that was ended looks like a rule that failed
        notebook.runner.end()

    clock = Timer(min(seconds, TIMEOUT_MAX), end)
    clock.daemon = True
    clock.start()
    try:
        while not choosing.late and (todo := choosing.missing()):
            if stopped():  # a runner that was ended may have nothing to tell
                raise KeyboardInterrupt
            for run in map(notebook.find, todo):
                if run is not None:
                    choosing.take(outcome(run))
            first = choosing.budget == math.inf  # nothing is known of how much the time is enough for
            if first:
                todo = todo[:processes]
            with closing(notebook.events(todo)) as events:
                for event in events:
                    if stopped():  # a worker that was ended looks like a rule that failed
                        raise KeyboardInterrupt
                    if isinstance(event, RuleFailed) and not over.is_set():
                        choosing.fail(event.rule, event.reason)
                    elif isinstance(event, RuleReady):
                        ready[event.rule] = perf_counter()
                    elif isinstance(event, RunDone):
                        choosing.take(outcome(event.run))
                        if first and [event.run.rule] == choosing.rules[:1]:
                            now = perf_counter()
                            took = now - ready.get(event.run.rule, begun)
                            choosing.hurry(processes * (begun + seconds - now) / took)
                    if progress is not None and choosing.budget:
                        spent = max(choosing.spent / choosing.budget, (perf_counter() - begun) / seconds)
                        progress(min(spent, 1.0), 1.0)
                    if look is not None:
                        look(choosing)
                    if over.is_set():
                        break
            if over.is_set():
                choosing.late, choosing.timed_out = "the time ended it: longer runs were still to come", True
    except KeyboardInterrupt:
        choosing.interrupt()
    finally:
        clock.cancel()
    choosing.end()
    return answer(choosing, notebook.card.name, perf_counter() - begun)


def so_far(choosing: Choosing, name: str, seconds: float) -> Choice | None:
    """What would be answered if a choice that is on its way ended now; None while there is nothing to say."""
    ended = Choosing(choosing.asked, dict(choosing.seen), dict(choosing.failed))
    ended.late = "it is still on its way: longer runs are to come"
    try:
        ended.end()
        return answer(ended, name, seconds)
    except (ValueError, RuntimeError):
        return None
