"""The task `surnames`: a GRU spells the 20,000 most frequent surnames of the US census of 1990, out of names."""

from ..packaged import contents, path_in
from ..problem import Problem
from ..task import Task
from .speller import problem_of

COUNT, LENGTH, HELD = 20_000, 14, 0.1
TASK = Task(
    name="surnames",
    title="a GRU that spells surnames",
    data="the 20,000 most frequent surnames of the US census of 1990, two to thirteen letters",
    licence="census data in the public domain, in the sdist of names 0.3.0 (MIT); read from the install, never copied",
    sha256="b0e2b3743ccbad641ca48b344c24cdebcd1d9a1f76dc6dbf05986f2919f0b4e1",
    split="fixed: 18,000 surnames for training, 2,000 for validation",
    model="GRU of width 48 over letters, float32, 12,627 parameters",
    loss="cross entropy of the next letter in nats",
    shows="a recurrent net: gradients through time, on short words that everybody knows",
    steps=300,
    batch=64,
    seconds=1.7,
    seeds=20,
    needs=(("torch", "torch"), ("names", "names==0.3.0")),
)


def surnames() -> list[str]:
    """The most frequent ones, in small letters."""
    (file,) = contents([path_in("names", "dist.all.last")], TASK.sha256)
    return [line.split()[0].lower() for line in file.decode("ascii").splitlines()[:COUNT]]


def problem() -> Problem:
    return problem_of(surnames(), LENGTH, TASK.batch, COUNT, HELD)
