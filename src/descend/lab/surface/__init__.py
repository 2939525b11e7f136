"""Surfaces over the plane and the paths of rules on them: `run("saddle").plot()`."""

from .catalogue import SURFACES as SURFACES
from .results import Paths as Paths
from .running import roll as roll
from .running import run as run
from .surface import Surface as Surface
from .yours import own as own
