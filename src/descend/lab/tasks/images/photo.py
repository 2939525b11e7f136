"""The task `photo`: a perceptron paints a photograph, colour by place.

The photograph is scikit-learn's flower.jpg (by vultilion, CC BY 2.0), every fourth pixel in each direction. A place is
told as sines and cosines of 32 random frequencies (Tancik et al. 2020, Fourier features).
"""

from io import BytesIO

import numpy as np

from ..packaged import contents, path_in
from ..perceptron import Perceptron
from ..task import Task

FREQUENCIES, SPREAD, EVERY = 32, 6.0, 4
TASK = Task(
    name="photo",
    title="painting a photograph",
    data="scikit-learn's flower.jpg, every fourth pixel: 107x160 colours",
    licence="CC BY 2.0 (vultilion), in scikit-learn's wheel",
    sha256="a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    split="fixed checkerboard: 8,560 pixels for training, 8,560 for validation",
    model="MLP 64-64-64-3 on Fourier features, ReLU, float32, 8,515 parameters",
    loss="mean squared error of colours in 0..1",
    shows="details of every size: the fine ones come last",
    steps=400,
    batch=512,
    seconds=0.4,
    seeds=30,
    needs=(("sklearn", "scikit-learn"), ("PIL", "pillow")),
)


def pixels() -> np.ndarray:
    """Colours `(107, 160, 3)` in 0..1."""
    from PIL import Image

    (file,) = contents([path_in("sklearn", "datasets", "images", "flower.jpg")], TASK.sha256)
    with Image.open(BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))[::EVERY, ::EVERY].astype(np.float32) / 255


def problem() -> Perceptron:
    colours = pixels()
    height, width, _ = colours.shape
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(-1, 2)
    waves = np.random.default_rng(0).normal(0, SPREAD, (2, FREQUENCIES))
    angles = 2 * np.pi * (places / max(height, width)) @ waves
    x = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
    y = np.ascontiguousarray(colours.reshape(-1, 3))
    kept = places.sum(axis=1) % 2 == 0
    return Perceptron((2 * FREQUENCIES, 64, 64, 3), (x[kept], y[kept]), (x[~kept], y[~kept]), TASK.batch)
