"""The task `gunpoint`: a one-dimensional convolutional net on movements of a hand; the data come with aeon."""

import numpy as np

from ..packaged import contents, path_in
from ..problem import Problem
from ..task import Task

TASK = Task(
    name="gunpoint",
    title="movements of a hand",
    data="GunPoint of the UCR archive: 200 series of 150 values, two classes",
    licence="UCR archive, in aeon's wheel (BSD-3)",
    sha256="56e2a7020f4619179d741ee07df97215192dc1b692e7dde2125189ca6e0facd6",
    split="100 series for training, 100 for validation, fixed",
    model="three convolutions of width 7 with 8 channels, mean over time, linear, float32, 994 parameters",
    loss="cross entropy in nats",
    shows="few data: what is learnt late is noise",
    steps=300,
    batch=25,
    seconds=0.7,
    seeds=30,
    needs=(("torch", "torch"), ("aeon", "aeon")),
)


def read() -> tuple[np.ndarray, np.ndarray]:
    """Series `(200, 150)` and classes `(200,)` in 0, 1."""
    series, classes = [], []
    paths = [path_in("aeon", "datasets", "data", "GunPoint", f"GunPoint_{part}.ts") for part in ("TRAIN", "TEST")]
    for file in contents(paths, TASK.sha256):
        lines = file.decode("utf-8").splitlines()
        for line in lines[lines.index("@data") + 1 :]:
            values, _, label = line.rpartition(":")
            series.append([float(x) for x in values.split(",")])
            classes.append(int(float(label)) - 1)
    return np.array(series, np.float32), np.array(classes, np.int64)


def problem() -> Problem:
    import torch
    from torch import nn

    from ..packaged import halves
    from ..torch_module import classifier

    series, classes = read()
    x, y = torch.from_numpy(series)[:, None], torch.from_numpy(classes)
    train, held = (torch.from_numpy(rows) for rows in halves(len(y), 150))

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for channels in (1, 8, 8):
            layers += [nn.Conv1d(channels, 8, 7, padding=3), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 2))

    return classifier(build, (x[train], y[train]), (x[held], y[held]), TASK.batch)
