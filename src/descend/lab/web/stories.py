"""What can be shown with one click: each a surface, rules with their rates, and a sentence that a test holds true."""

from dataclasses import dataclass

from ..surface.catalogue import SURFACES
from ..surface.surface import Point, Surface


@dataclass(frozen=True)
class Story:
    """`rules`: (rule, rate) pairs; a rule may run twice, at two rates."""

    name: str
    title: str
    sentence: str
    surface: str
    start: Point
    steps: int
    rules: tuple[tuple[str, float], ...]


def _of(surface: Surface) -> Story:
    """The story that the surface itself tells."""
    rules = tuple((rule, surface.lr) for rule in surface.rules)
    title = surface.title
    return Story(surface.name, title, surface.story, surface.name, surface.start, surface.steps, rules)


LESSONS = (
    Story(
        "edge",
        "The edge of stability",
        "Across the valley the curvature is 2, so gradient descent bears rates below 2/2 = 1: at 0.9 it settles, at "
        "0.99 it rings, at 1.01 each jump is longer than the last.",
        "valley",
        (-8.0, 2.6),
        150,
        (("gradient_descent", 0.9), ("gradient_descent", 0.99), ("gradient_descent", 1.01)),
    ),
    Story(
        "overshoot",
        "Momentum overshoots",
        "A ball with little friction rolls past the minimum and comes back; gradient descent at the same rate never "
        "passes it, and needs longer.",
        "booth",
        (-8.0, -3.0),
        200,
        (("gradient_descent", 0.003), ("momentum_accumulation", 0.003)),
    ),
    Story(
        "stall",
        "Adagrad stalls",
        "Adagrad divides by all gradients it has ever seen, so its steps shrink for ever; RMSprop forgets, and keeps "
        "its pace at the same rate.",
        "plateau",
        (1.2, 2.4),
        300,
        (("adagrad", 0.02), ("rmsprop", 0.02)),
    ),
    Story(
        "bias",
        "Adam without bias correction",
        "Its averages begin at zero, and that of the squares fills ten times as slowly: without the correction the "
        "first steps are up to six times as long.",
        "saddle",
        (-1.7, 0.4),
        100,
        (("adam", 0.03), ("adam_uncorrected", 0.03)),
    ),
    Story(
        "sign",
        "Only the sign",
        "Sign descent takes the same step in every coordinate, however flat: quick along the valley, and at its end it "
        "can only tremble; Lion, which averages first, swings about it.",
        "valley",
        (-8.0, 2.6),
        150,
        (("sign_sgd", 0.1), ("lion", 0.1), ("gradient_descent", 0.1)),
    ),
    Story(
        "basins",
        "Which minimum?",
        "Four minima of equal depth, and from one start three rules find three of them. Drag the start and see how "
        "little it takes to change that.",
        "himmelblau",
        (0.3, -0.6),
        150,
        (("gradient_descent", 0.015), ("momentum_accumulation", 0.015), ("adam", 0.3)),
    ),
)
STORIES = {story.name: story for story in (*LESSONS, *map(_of, SURFACES.values()))}
