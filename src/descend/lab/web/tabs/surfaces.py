"""Rules on a surface: every path that the page draws is walked here, by the library's own optimizers."""

from dataclasses import asdict, replace
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np

from .... import rules as catalogue
from ....draw.chart import Area
from ....draw.svg import svg
from ....rules.names import find_rule
from ...surface import picture
from ...surface.catalogue import SURFACES
from ...surface.paths import tuned, walk
from ...surface.surface import Surface
from .. import bake
from ..fields import Fields, Refused
from ..packed import of_path, of_paths, packed
from ..stories import STORIES
from ..tab import Endpoint, Lab, Tab

RULES, STEPS = 12, 2000
TUNED_STEPS = 4000  # of all rules together: each is walked at 19 rates
LARGEST_RATE, LARGEST_NOISE = 1e4, 1e3
GRID, STILL = 161, 31  # places along an axis, of the map and of a still


def known(lab: Lab, fields: Fields) -> Any:
    """Surfaces, stories and rules."""
    fields.end()
    shown = ("name", "title", "formula", "frame", "start", "minima", "story", "rules", "lr", "steps", "near")
    return {
        "surfaces": [
            {word: getattr(one, word) for word in shown} | {"sampled": one.sampled is not None}
            for one in lab.surfaces.values()
        ],
        "stories": [asdict(story) for story in STORIES.values()],
        "rules": [
            {
                "name": name,
                "family": catalogue.family_of(name),
                "about": (rule.doc or "").partition("\n")[0],
                "lr": rule.settings.get("lr"),
            }
            for name, rule in catalogue.all().items()
        ],
    }


def surface_of(lab: Lab, fields: Fields) -> Surface:
    return lab.surfaces[fields.word("surface", among=lab.surfaces)]


def ground(lab: Lab, fields: Fields) -> bytes:
    """The map: rings around what is above each level, as one list of points, and how many points each ring has."""
    surface = surface_of(lab, fields)
    fields.end()
    bands = picture.bands(*surface.heights(GRID))
    rounds = [ring for band in bands for ring in band.rings]  # pyright: ignore[reportAttributeAccessIssue]
    counts = [[len(ring) for ring in band.rings] for band in bands]  # pyright: ignore[reportAttributeAccessIssue]
    return packed({"bands": counts}, [np.concatenate(rounds) if rounds else np.zeros((0, 2))])


def _asked(lab: Lab, fields: Fields) -> tuple[Surface, list[tuple[Any, float | None]], Any, dict[str, Any]]:
    surface = surface_of(lab, fields)
    start = fields.point("start", surface.start)
    how = {
        "steps": fields.whole("steps", surface.steps, 1, STEPS),
        "seed": fields.whole("seed", 0, 0, 10**6),
        "noise": fields.number("noise", 0.0, 0.0, LARGEST_NOISE),
    }
    chosen = []
    for one in fields.listed("rules", RULES):
        chosen.append((find_rule(one.word("rule", longest=80)), one.number("lr", None, 0.0, LARGEST_RATE)))
        one.end()
    fields.end()
    return surface, chosen, start, how


def paths(lab: Lab, fields: Fields) -> bytes:
    """Every rule from one start, each at its rate."""
    surface, chosen, start, how = _asked(lab, fields)
    return of_paths([_walked(rule.name, surface, start, lr, **how) for rule, lr in chosen])


@lru_cache(128)
def _walked(name: str, surface: Surface, start: Any, lr: float | None, **how: Any) -> Any:
    """A path as it is sent; kept for a while, for who moves the rate of one rule asks for all others again."""
    return of_path(walk(find_rule(name), surface, start, lr, engine="alone", **how), surface)


def tune(lab: Lab, fields: Fields) -> Any:
    """For each rule its best rate of 19 from this start; null where it has none."""
    surface, chosen, start, how = _asked(lab, fields)
    if how["steps"] * len(chosen) > TUNED_STEPS:
        raise Refused(f"to tune, rules × steps must be at most {TUNED_STEPS}, got {len(chosen)} × {how['steps']}")
    found = [tuned(rule, surface, start, engine="alone", **how) for rule, _ in chosen]
    return {"rates": [{"rule": path.rule, "lr": path.lr, "on_edge": path.on_edge} for path in found]}


def baked(lab: Lab) -> dict[str, Any]:
    """What an exported file answers with."""
    told: Any = known(lab, Fields({}))
    told["surfaces"] = [one for one in told["surfaces"] if one["name"] in SURFACES]
    return {
        "surfaces/known": told,
        "surfaces/ground": bake.grounds(SURFACES),
        "surfaces/paths": bake.stories(lab.surfaces),
    }


def stills(lab: Lab) -> str:
    """Every story as a picture."""
    parts = []
    for n, story in enumerate(STORIES.values()):
        surface = lab.surfaces[story.surface]
        walked = [walk(find_rule(r), surface, story.start, lr, story.steps, engine="alone") for r, lr in story.rules]
        if len({path.rule for path in walked}) < len(walked):
            walked = [replace(path, rule=f"{path.rule}, {path.lr:g}") for path in walked]
        drawn = picture.chart(surface, walked, "")
        shapes = [shape for shape in drawn.shapes if not isinstance(shape, Area)]
        drawn = replace(drawn, foot=[], shapes=picture.bands(*surface.heights(STILL))[::3] + shapes)
        parts.append(
            f"<section><h2>{escape(story.title)}</h2><p>{escape(story.sentence)}</p>"
            f"<figure>{svg(drawn, 480, 300, f'still-{n}')}</figure></section>"
        )
    return "".join(parts)


ASKED = {
    "surface": "valley",
    "start": [-8.0, 2.6],
    "steps": 50,
    "seed": 0,
    "noise": 0.0,
    "rules": [{"rule": "gradient_descent", "lr": 0.9}, {"rule": "adam", "lr": 0.1}],
}
TAB = Tab(
    "surfaces",
    "Surfaces",
    "Click the map to drop the start: all rules set out at once. Every path is computed by the library itself.",
    (
        Endpoint("known", known),
        Endpoint("ground", ground, ({"surface": "saddle"},)),
        Endpoint("paths", paths, (ASKED, {"surface": "saddle", "rules": [{"rule": "muon"}]})),
        Endpoint("tune", tune, ({**ASKED, "steps": 20},)),
    ),
    stills,
    baked,
)
