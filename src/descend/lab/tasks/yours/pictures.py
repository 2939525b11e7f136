"""A folder of somebody's images as a task: one folder for each class, told apart by a perceptron.

Where it is split already (`train/CLASS/…` and `val/CLASS/…`, as `descend data collect` and torchvision's ImageFolder
have it), that split is kept: training on the one, judging on the other, and `test/` is not looked at.
"""

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..packaged import halves
from ..perceptron import Perceptron
from ..task import Task, TaskError

SIDE, WIDTH, BATCH, STEPS, SEEDS = 16, 64, 32, 300, 40
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
FEWEST = 20
TRAIN, HELD = ("train", "training"), ("val", "valid", "validation", "dev")  # names of a split's two folders


class Folder:
    """All images as small colour squares, and the folder each stands in."""

    def __init__(self, path: Path) -> None:
        from PIL import Image

        self.path = path
        self.sides = _sides(path)
        files = [f for side in self.sides or (path,) for f in _pictures(side)]
        if not files:
            raise TaskError(f"{path}: no image in a folder of its own class{self._deeper()}")
        self.unreadable: list[str] = []
        squares, names, sides, self.hash = [], [], [], hashlib.sha256()
        for file in files:
            try:
                with warnings.catch_warnings(), Image.open(file) as image:
                    warnings.simplefilter("ignore")  # of palettes with transparency, which is left out
                    image.draft("RGB", (4 * SIDE, 4 * SIDE))  # a large JPEG is read at an eighth of its size
                    squares.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32) / 255)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises of bad files
                if file.suffix.lower() in ENDINGS:  # a note beside the images is no unreadable one
                    self.unreadable.append(str(file.relative_to(path)))
                continue
            names.append(file.parent.name)
            sides.append(file.parent.parent)
            if self.sides:
                self.hash.update(file.relative_to(path).as_posix().encode())
            self.hash.update(file.read_bytes())
        self.classes = sorted(set(names))
        if len(squares) < FEWEST:
            raise TaskError(f"{path}: {len(squares)} readable images{self.told()}; at least {FEWEST} are needed")
        if len(self.classes) < 2:
            raise TaskError(f"{path}: all images are in one folder, {self.classes[0]}; there is nothing to tell apart")
        self.x = np.stack(squares).reshape(len(squares), -1)
        self.y = np.array([self.classes.index(name) for name in names], np.int64)
        if self.sides:
            self.train, self.held = (np.flatnonzero([side == own for side in sides]) for own in self.sides)
            if not len(self.held):
                raise TaskError(f"{self.sides[1]}: no readable image to judge by")
        else:
            self.train, self.held = halves(len(self.y), len(self.y), 0.3)
        if missing := set(range(len(self.classes))) - set(self.y[self.train].tolist()):
            rare = ", ".join(self.classes[k] for k in sorted(missing))
            raise TaskError(f"{path}: too few images to learn {rare}")
        self.x -= self.x[self.train].mean(axis=0)
        self.batch = min(BATCH, len(self.train) // 4)
        self.layers = (3 * SIDE * SIDE, WIDTH, len(self.classes))

    def _deeper(self) -> str:
        """What to do where images lie elsewhere."""
        found = next((f for f in self.path.glob("*/*/*") if f.suffix.lower() in ENDINGS), None)
        if found is not None:
            return f"; they lie deeper: race on {found.parent.parent}"
        return f"; put each class in a folder: {self.path}/cat/1.jpg"

    def told(self) -> str:
        """What could not be read: how many, and the first of them."""
        if not self.unreadable:
            return ""
        more = ", …" if len(self.unreadable) > 3 else ""
        return f", {len(self.unreadable)} unreadable ({', '.join(self.unreadable[:3])}{more})"


def _pictures(place: Path) -> list[Path]:
    """The images in the folders of a folder."""
    return sorted(
        f for f in place.glob("*/*") if f.is_file() and not f.parent.name.startswith(".") and f.name[0] != "."
    )


def _sides(path: Path) -> tuple[Path, ...]:
    """The folders for training and for validation; empty where the folder is not split."""
    found = [next((path / n for n in names if (path / n).is_dir()), None) for names in (TRAIN, HELD)]
    split = [side for side in found if side is not None and any(part.is_dir() for part in side.iterdir())]
    return tuple(split) if len(split) == 2 else ()


@lru_cache(1)
def read(path: str) -> Folder:
    return Folder(Path(path))


def card(options: dict[str, str]) -> Task:
    folder = read(options["path"])
    return Task(
        name=folder.path.name,
        title=f"the images of {folder.path.name}",
        data=f"{folder.path.name}: {len(folder.y):,} images in {len(folder.classes)} classes{folder.told()}",
        licence="yours",
        sha256=folder.hash.hexdigest(),
        split=f"{'its own' if folder.sides else 'fixed'}: {len(folder.train):,} images for training, "
        f"{len(folder.held):,} for validation",
        model=f"MLP {'-'.join(map(str, folder.layers))} on squares of {SIDE} pixels, ReLU, float32",
        loss="cross entropy in nats",
        shows="what suits it",
        steps=STEPS,
        batch=folder.batch,
        seconds=0.0,
        seeds=SEEDS,
        needs=(("PIL", "pillow"),),
    )


def problem(options: dict[str, str]) -> Perceptron:
    folder = read(options["path"])
    parts = [(folder.x[rows], folder.y[rows]) for rows in (folder.train, folder.held)]
    return Perceptron(folder.layers, *parts, batch=folder.batch)
