"""`python -m benchmarks.data`: pictures a second and peak memory of `descend data collect` on local files.

The pictures are made from two photographs that come with scikit-learn: crops, warped, recoloured and mixed with a
second crop, 500 to 800 pixels wide, as JPEG. Each is unlike the others; one in twenty is a compressed copy.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from time import perf_counter, process_time

from descend.core.machine import cores, cpu
from descend.lab.data.decoders import PROCESSES

COUNT, CLASSES = 3_000, ("dog", "wolf", "hyena")
BAR_RATE, BAR_MIB = 150.0, 1024.0
COPIES = 20  # one picture in so many is a copy of the one before


@lru_cache(1)
def sources():
    """The two photographs."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(one) for one in load_sample_images().images]


def photograph(number: int):
    """The picture of that number, always the same."""
    import numpy as np
    from PIL import Image, ImageEnhance

    rng = np.random.default_rng(number - (number % COPIES == COPIES - 1))

    def crop() -> Image.Image:
        source = sources()[rng.integers(2)]
        wide, high = rng.integers(120, 400), rng.integers(90, 300)
        x, y = rng.integers(0, source.width - wide), rng.integers(0, source.height - high)
        side = int(rng.integers(500, 801))
        corners = np.array([x, y, x, y + high, x + wide, y + high, x + wide, y]) + rng.normal(0, 20, 8)
        size = (side, side * 3 // 4)
        return source.transform(size, Image.Transform.QUAD, corners.tolist(), Image.Resampling.BILINEAR)

    first = crop()
    mixed = Image.blend(
        first,
        crop().resize(first.size, Image.Resampling.BILINEAR).transpose(Image.Transpose(rng.integers(2))),
        float(rng.uniform(0.3, 0.6)),
    )
    mixed = ImageEnhance.Color(mixed).enhance(float(rng.uniform(0.3, 1.8)))
    return ImageEnhance.Brightness(mixed).enhance(float(rng.uniform(0.7, 1.3)))


def make(job: tuple[str, int, int]) -> None:
    """Write the pictures of some numbers."""
    folder, begin, end = job
    for number in range(begin, end):
        path = Path(folder, CLASSES[number // COPIES % len(CLASSES)], f"{number:05}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(number).save(path, quality=75 if number % COPIES == COPIES - 1 else 90)


def memory(root: int) -> Iterator[float]:
    """MiB that a process and its children hold at this moment: shared pages once for each that holds a share (PSS)."""
    pids = [root]
    for pid in pids:
        try:
            pids += [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            yield next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue


def collected(source: Path, out: Path, processes: int) -> tuple[float, float, dict]:
    """Seconds, peak MiB of all processes together, and what the command says."""
    words = ["data", "collect", str(source), "--out", str(out), "--processes", str(processes), "--json"]
    begin, peak = perf_counter(), 0.0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "descend", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        while child.poll() is None:
            peak = max(peak, sum(memory(child.pid)))
            try:
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        seconds = perf_counter() - begin
        assert child.stdout is not None
        told = json.loads(child.stdout.read())
    if not peak:  # no /proc: the largest child alone
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return seconds, peak, told


def parts(source: Path, many: int = 60) -> dict[str, float]:
    """Milliseconds of processor time of each part of one picture's work, the mean over some pictures."""
    import io

    from PIL import Image

    from descend.lab.data.picture import Settings, decoded, perceptual

    paths = sorted(source.rglob("*.jpg"))[:many]
    data = [path.read_bytes() for path in paths]
    pictures = [decoded(one, "JPEG", Settings()) for one in data]

    def milliseconds(work) -> float:
        work(0)  # imports are not counted
        begin = process_time()
        for k in range(len(data)):
            work(k)
        return 1000 * (process_time() - begin) / len(data)

    def small(k: int) -> None:
        thumb = pictures[k].copy()
        thumb.thumbnail((160, 160))
        thumb.save(io.BytesIO(), "JPEG", quality=75)

    return {
        "decode the JPEG": milliseconds(lambda k: Image.open(io.BytesIO(data[k])).load()),
        "decode, scale to 512, turn, strip": milliseconds(lambda k: decoded(data[k], "JPEG", Settings())),
        "encode the JPEG": milliseconds(lambda k: pictures[k].save(io.BytesIO(), "JPEG", quality=90)),
        "two perceptual hashes": milliseconds(lambda k: perceptual(pictures[k])),
        "thumbnail": milliseconds(small),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--pictures", type=int, default=COUNT)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--photos", type=Path, help="a folder that keeps the pictures for another time")
    parser.add_argument("--parts", action="store_true", help="also what one picture costs, part by part")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        source = asked.photos or Path(place, "photos")
        there = sum(1 for _ in source.rglob("*.jpg"))
        step = 50
        jobs = [(str(source), k, min(k + step, asked.pictures)) for k in range(0, asked.pictures, step)]
        with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
            list(pool.map(make, jobs if there != asked.pictures else []))
        size = sum(path.stat().st_size for path in source.rglob("*.jpg"))
        print(f"{asked.pictures:,} pictures, {size / 1e6:.0f} MB, on {cpu()}, {asked.processes} processes")
        seconds, peak, told = collected(source, Path(place, "set"), asked.processes)
        rate = asked.pictures / seconds
        print(f"collected, deduplicated and split in {seconds:.1f} s: {rate:.0f} a second (bar {BAR_RATE:.0f})")
        print(f"peak memory of all processes {peak:.0f} MiB (bar {BAR_MIB:.0f})")
        print(f"kept {told['pictures']:,}; left out {told['left_out']}")
        if asked.parts:
            for name, cost in parts(source).items():
                print(f"{cost:7.2f} ms  {name}")
    met = rate >= BAR_RATE and peak < BAR_MIB
    print("met" if met else "MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
