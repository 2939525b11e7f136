"""The task `python-gpt`: a small GPT on the text of Python's language reference, which every Python brings."""

import hashlib
from dataclasses import replace

from ..problem import Problem
from ..task import Task

TASK = Task(
    name="python-gpt",
    title="a character GPT on Python's reference",
    data="pydoc_data.topics of the Python that runs: half a million characters of prose, other ones in every version",
    licence="PSF-2.0",
    sha256="",
    split="fixed: the first nine tenths for training, 6 batches of the last tenth for validation",
    model="GPT of 2 layers, width 32, context 32, float32, about 32,000 parameters",
    loss="cross entropy of the next character in nats",
    shows="embeddings, norms and matrices in one model",
    steps=300,
    batch=16,
    seconds=1.5,
    seeds=20,
    needs=(("torch", "torch"),),
)


def text() -> str:
    """The reference, topic after topic by name."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def card(task: Task = TASK) -> Task:
    """The card with the hash of this Python's text."""
    return replace(task, sha256=hashlib.sha256(text().encode()).hexdigest())


def problem() -> Problem:
    from .gpt import problem_of

    return problem_of(text(), TASK.batch)
