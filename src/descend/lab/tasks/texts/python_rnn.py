"""The task `python-rnn`: a GRU spells the names of Python's standard library, as others do with surnames."""

from ..problem import Problem
from ..task import Task
from . import python_gpt
from .speller import problem_of

LENGTH = 20
TASK = Task(
    name="python-rnn",
    title="a GRU that spells words",
    data="words of five to nineteen letters in pydoc_data.topics of the Python that runs: some 3,900",
    licence="PSF-2.0",
    sha256="",
    split="fixed: four fifths of the words for training, a fifth for validation",
    model="GRU of width 48 over letters, float32, 12,627 parameters",
    loss="cross entropy of the next letter in nats",
    shows="a recurrent net: gradients through time",
    steps=300,
    batch=64,
    seconds=1.5,
    seeds=20,
    needs=(("torch", "torch"),),
)


def words() -> list[str]:
    """The words, each once, in order."""
    import re

    return sorted(set(re.findall(rf"[a-z]{{5,{LENGTH - 1}}}", python_gpt.text().lower())))


def card() -> Task:
    return python_gpt.card(TASK)


def problem() -> Problem:
    return problem_of(words(), LENGTH, TASK.batch, 26, 0.2)
