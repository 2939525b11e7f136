"""Real landscapes: the loss of a torch model on planes, and how sharp it is along trainings."""

from .planes import around as around
from .planes import filter_normalised as filter_normalised
from .planes import flat as flat
from .planes import through as through
from .sharpness import sharpness as sharpness
from .sharpness import top_eigenvalue as top_eigenvalue
from .trail import Trail as Trail
