"""Trials one by one, through the store: each is trained once, and found again by whoever asks for it later.

    with Notebook.of(Source("digits")) as notebook:
        run = notebook.run(Trial("adamw", 3e-3, seed=0, steps=75, schedule="linear"))
        run.loss       # the score: mean validation loss of the looks in the last tenth; infinite if it diverged
        run.curve      # [(step, validation loss), …]
        run.seconds    # what training took, without the looks

    Notebook.of(Source("digits")).find(Trial("adamw", 3e-3, seed=0, steps=75))     # the same run: nothing is trained

Many at once, in as many processes as asked for, each in the store as soon as it is done:

    for event in notebook.events(trials):                # RuleReady, RunDone, RuleFailed, as they happen
        ...
    runs = notebook.runs(trials)                         # or all of them: {trial: run}

A model of this process, which no worker could load, comes as a problem (`tasks.torch_module.TorchModule`) and a card:

    notebook = Notebook(Given(problem, card), Store.open())
"""

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .conditions import changed, digest, environment, text_of
from .store import Store, StoreError
from .tasks.source import Brings, Source
from .tasks.task import Task
from .trials.runners.inline import Trainer
from .trials.runners.runner import Event, RuleFailed, RunDone, Runner
from .trials.runners.start import runner_for
from .trials.trial import Run, Trial

if TYPE_CHECKING:
    from .tasks.problem import Problem


class TrialError(RuntimeError):
    """A rule stopped with an exception; the message says with which."""


@dataclass(frozen=True)
class Given:
    """A task that exists in this process alone. What makes it another task belongs into the card's `sha256`."""

    given: "Problem"
    told: Task

    def card(self) -> Task:
        return self.told

    def problem(self) -> "Problem":
        return self.given


class Notebook:
    """The trials of one task; a context manager that ends the workers it has started.

    Args:
        task: what to train on, of the catalogue, somebody's files, or `Given`.
        store: where runs are kept; None to keep them in this object alone.
        runner: what trains; None for this process.

    Attributes:
        known: every run there is, by its trial. Of the store those of the same task, with the same data, made under
            conditions in which the numbers would come out the same today.
    """

    def __init__(self, task: Brings, store: Store | None, runner: Runner | None = None) -> None:
        self.card, self.store, self.runner = task.card(), store, runner or Trainer(task)
        self.known: dict[Trial, Run] = {}
        self.unstored = ""  # why a run could not be kept
        self._page = ""
        if store is not None:
            from .. import rules

            now = environment(1)
            now["rules"] = digest(text_of(rule) for _, rule in sorted(rules.all().items()))
            now["data"] = self.card.sha256[:16]
            asked = {"notebook": self._identity()}
            for kept in store.races():
                if kept.asked.get("notebook") == asked["notebook"] and not changed(kept.environment, now):
                    self._page = kept.id
                    self.known.update(store.runs(kept.id))
            try:
                self._page = self._page or store.begin(self.card.name, asked, now, state="open")
            except StoreError as error:  # what is there can be read
                self.store, self.unstored = None, str(error)

    @classmethod
    def of(cls, source: Source, store: Store | None = None, processes: int = 1, on: str = "") -> "Notebook":
        """A notebook in the user's store (or another), whose trials run in processes (one: this one) or on Ray.

        Raises:
            TaskError: the task cannot be raced on; the message says why.
            StoreError: the store cannot be opened.
        """
        runner = runner_for(source, processes, on) if on or processes > 1 else None
        return cls(source, Store.open() if store is None else store, runner)

    def __enter__(self) -> "Notebook":
        return self

    def __exit__(self, *error: object) -> None:
        self.runner.__exit__(*error)

    def find(self, trial: Trial) -> Run | None:
        """The run of a trial if there is one; nothing is trained."""
        return self.known.get(trial)

    def run(self, trial: Trial) -> Run:
        """The run of a trial: found, or trained now and kept.

        Raises:
            TrialError: the rule stopped with an exception. A run that diverged is none: its loss is infinite.
        """
        for event in self.events([trial]):
            if isinstance(event, RuleFailed):
                raise TrialError(f"{event.rule} failed: {event.reason}")
        if trial not in self.known:
            raise TrialError(f"{trial.rule} has failed before")
        return self.known[trial]

    def runs(self, trials: Sequence[Trial]) -> dict[Trial, Run]:
        """The runs of trials; a rule that fails has none."""
        for _ in self.events(trials):
            pass
        return {trial: self.known[trial] for trial in trials if trial in self.known}

    def events(self, trials: Sequence[Trial]) -> Generator[Event, None, None]:
        """What happens while the missing ones of these trials are trained; a run is kept before it is told of."""
        missing = [trial for trial in dict.fromkeys(trials) if trial not in self.known]
        for event in self.runner.run(missing) if missing else ():
            if isinstance(event, RunDone):
                self.known[event.run.trial] = event.run
                self._keep(event.run)
            yield event

    def _keep(self, run: Run) -> None:
        if self.store is None:
            return
        try:
            self.store.keep(self._page, run)
        except StoreError as error:  # a full disk ends no search; it only cannot be gone on with
            self.store, self.unstored = None, str(error)

    def _identity(self) -> dict[str, Any]:
        """What makes it this task: all of the card but what it says of itself."""
        told = asdict(self.card)
        return {name: told[name] for name in ("name", "sha256", "split", "model", "loss", "batch")}
