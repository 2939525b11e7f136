"""Gradient release against the ordinary loop: peak memory in fresh processes, and the time of a training step.

    python benchmarks/release.py              # both; about a minute
    python benchmarks/release.py --only memory --rule sgd
    python benchmarks/release.py --json

Memory: a stack of equal linear layers without biases, 200 MB of float32 weights, batch 8; three steps; the highest
resident set of the process (``ru_maxrss``), less what stood before the first backward pass. On glibc twice: as it is,
and with MALLOC_MMAP_THRESHOLD_=1048576, which gives every large tensor pages of its own; without it, holes between
freed gradients and new state stay with the process. Time: an MLP of 100 layers
of width 128, batch 16; forward, backward and step; contestants take turns, medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from typing import Any

import torch

import descend.torch as ours
from descend.bench.timing import interleaved, median, ratio, spread

WIDTH, DEPTH = 1280, 32  # 1280² · 32 · 4 bytes = 210 MB
FORMS = ("ordinary", "torch", "released", "released, two passes")
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 1e-3}),
    "momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}),
    "adamw": ("AdamW", {"lr": 1e-3}),
}
_TO_BYTES = 1 if sys.platform == "darwin" else 1024


def loop(form: str, rule: str, model: torch.nn.Module, x: torch.Tensor) -> Any:
    """One training step of ``model`` as a function without arguments."""
    name, settings = RULES[rule]
    two = form == "released, two passes"
    if form.startswith("released"):
        clip: dict[str, Any] = {"clip_norm": 1.0} if two else {}
        opt: Any = ours.step_in_backward(model, getattr(ours, name), **settings, **clip)
    else:
        library = torch.optim if form == "torch" else ours
        opt = getattr(library, name)(model.parameters(), **settings, **({"fused": True} if form == "torch" else {}))

    def step() -> None:
        loss = model(x).square().mean()
        if two:
            with opt.measure():
                loss.backward(retain_graph=True)
        loss.backward()
        opt.step()
        opt.zero_grad()

    return step


def stack(width: int, depth: int, bias: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(*[torch.nn.Linear(width, width, bias=bias) for _ in range(depth)])


def peak_here(form: str, rule: str) -> dict[str, float]:
    """MB of weights, and of what the process needed at most beyond what it had before the first step."""
    warm = loop(form, rule, stack(8, 2, False), torch.ones(2, 8))  # kernels, pools and code are not the model's memory
    warm()
    warm()
    model = stack(WIDTH, DEPTH, False)
    step = loop(form, rule, model, torch.randn(8, WIDTH))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return {"weights_mb": weights / 1e6, "peak_mb": (after - before) * _TO_BYTES / 1e6}


def memory(rule: str) -> dict[str, dict[str, float]]:
    found = {}
    for form in FORMS:
        command = [sys.executable, __file__, "--peak", form, "--rule", rule]
        for key, more in (("peak_mb", {}), ("own_pages_mb", {"MALLOC_MMAP_THRESHOLD_": "1048576"})):
            env = {**os.environ, **more}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
            measured = json.loads(done.stdout)
            found.setdefault(form, {"weights_mb": measured["weights_mb"]})[key] = measured["peak_mb"]
    return found


def times(rule: str) -> dict[str, dict[str, float]]:
    x = torch.randn(16, 128)
    measured = interleaved({form: loop(form, rule, stack(128, 100, True), x) for form in FORMS}, rounds=11, block=0.3)
    return {
        form: {
            "ms": 1e3 * median(measured[form]),
            "spread": spread(measured[form]),
            "times_ordinary": 1 / ratio(measured, form, "ordinary"),
        }
        for form in FORMS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rule", choices=RULES, help="only this rule")
    parser.add_argument("--only", choices=("memory", "time"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(json.dumps(peak_here(args.peak, args.rule)))
        return
    found: dict[str, dict[str, Any]] = {}
    for rule in [args.rule] if args.rule else RULES:
        found[rule] = {}
        if args.only != "time":
            found[rule]["memory"] = memory(rule)
        if args.only != "memory":
            found[rule]["time"] = times(rule)
    if args.json:
        print(json.dumps(found))
        return
    for rule, parts in found.items():
        for form, row in parts.get("memory", {}).items():
            print(
                f"{rule:9} {form:21} {row['peak_mb']:5.0f} MB beyond the weights, {row['own_pages_mb']:5.0f} MB with "
                f"pages of their own ({row['own_pages_mb'] / row['weights_mb']:.2f} × the weights)"
            )
        for form, row in parts.get("time", {}).items():
            print(
                f"{rule:9} {form:21} {row['ms']:7.2f} ms per training step ± {row['spread']:.0%}, "
                f"{row['times_ordinary']:.2f} × ordinary"
            )


if __name__ == "__main__":
    main()
