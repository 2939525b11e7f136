"""The Triton engine on a GPU: every rule against the oracle, then every rule against torch, as Markdown tables.

    python benchmarks/gpu.py                  # checks, then all workloads (exit 1 if a check fails)
    python benchmarks/gpu.py --rules adamw,lion --workloads 20M,resnet18
    python benchmarks/gpu.py --aot            # registers and spills for sm_90; needs no GPU

Without a GPU it says so and exits 2. Times are medians; ``step`` includes what the host does, ``graph`` is the
replay of the same step from a CUDA graph. Per cent are of the bandwidth of a copy measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
import torch
from gpu_checks import check, engine, prepared

from descend import chain, rules
from descend.bench.speed import PEERS
from descend.core.program import program
from descend.core.rule import Rule

FORMS = ("fused", "foreach", "compiled")
COMPILED = 1000  # tensors above which torch.compile unrolls too much to be waited for
COLUMNS = (
    "rule",
    "bytes/parameter",
    "step µs",
    "% of copy",
    "graph µs",
    "% of copy",
    *(f"torch {form}" for form in FORMS),
)
EXTRA = {"clip_norm+adamw": chain(rules.clip_norm, rules.adamw)}


def taken() -> dict[str, Rule]:
    return {n: r for n, r in (rules.all() | EXTRA).items() if engine().refuses(r, "float32") is None}


def workloads() -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the parameters by workload; the models' are in ``descend/bench/model_shapes.json``."""
    made: dict[str, list[tuple[int, ...]]] = {"20M": [(20_000_000,)]}
    file = resources.files("descend.bench") / "model_shapes.json"
    models = json.loads(file.read_text()) if file.is_file() else {}
    made |= {name: [tuple(s) for s in models[name]] for name in ("resnet18", "vit_small") if name in models}
    return made | {"1000x1000": [(1000,)] * 1000, "100000x16": [(16,)] * 100_000}


# ---------------------------------------------------------------- times


def seconds(call: Callable[[], Any], rounds: int = 15, block: float = 0.02) -> float:
    """Median time of a call over rounds of at least ``block`` seconds, by CUDA events."""

    def run(count: int) -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        for _ in range(count):
            call()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1e3 / count

    run(3)
    count = max(1, int(block / max(run(3), 1e-7)))
    return statistics.median(run(count) for _ in range(rounds))


def bandwidth() -> float:
    """Bytes read and written per second by a copy of 1 GiB."""
    a = torch.empty(1 << 28, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / seconds(lambda: b.copy_(a))


def moved(rule: Rule, dtype: str) -> int:
    """Bytes that a step moves per parameter."""
    width = {n: torch.finfo(getattr(torch, dtype)).bits // 8 for n in ("p", "g")}
    kernels = program(rule).kernels
    return sum(width.get(n, 4) for k in kernels for n in (*k.loads, *dict(k.stores)))


def times(rule: Rule, shapes: list[tuple[int, ...]], dtype: str) -> dict[str, float]:
    """Seconds of a step of ours, from the host and replayed, and of torch's forms of the rule."""
    work = prepared(rule, shapes, dtype, "cuda")
    plain = engine().prepare([work])
    found = {"step": seconds(lambda: plain(1))}
    step = engine().prepare([work], False, True)
    step(1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(1)
    found["graph"] = seconds(graph.replay)
    peer, arguments = PEERS.get(rule.name, ("", {}))
    for form in FORMS if peer else ():
        if form == "compiled" and len(shapes) > COMPILED:
            continue
        params = [torch.nn.Parameter(torch.randn(s, device="cuda").to(getattr(torch, dtype))) for s in shapes]
        for p in params:
            p.grad = torch.randn_like(p)
        hint = {"fused": True} if form == "fused" else {"foreach": True}
        try:
            made = getattr(torch.optim, peer)(params, **arguments, **hint)
            found[form] = seconds(torch.compile(made.step, fullgraph=False) if form == "compiled" else made.step)
        except (TypeError, RuntimeError) as error:  # the class has no such form, or it does not compile
            print(f"{rule.name}: torch has no {form} form here ({str(error).splitlines()[0]})", file=sys.stderr)
    return found


def table(name: str, shapes: list[tuple[int, ...]], chosen: dict[str, Rule], dtype: str, limit: float) -> None:
    count = sum(int(np.prod(shape)) for shape in shapes)
    print(f"\n### {name}, {dtype}: {len(shapes)} tensors, {count / 1e6:.1f} M parameters\n")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for label, rule in chosen.items():
        found, width = times(rule, shapes, dtype), moved(rule, dtype)
        cells = [label, str(width)]
        for form in ("step", "graph"):
            cells += [f"{found[form] * 1e6:.1f}", f"{100 * width * count / found[form] / limit:.0f}"]
        cells += [f"{found[form] * 1e6:.1f}" if form in found else "–" for form in FORMS]
        print(f"| {' | '.join(cells)} |", flush=True)


def registers(chosen: dict[str, Rule], dtype: str) -> None:
    """The table of registers and spills of every kernel, compiled for sm_90."""
    from ahead import compile_rule

    print(f"| rule ({dtype}, sm_90) | registers of the element kernels | of the host kernels | bytes spilled |")
    print("|---|--:|--:|--:|")
    for name, rule in chosen.items():
        made = list(compile_rule(rule, dtype))
        of = {
            kind: ", ".join(str(k.registers) for k in made if k.kernel.startswith(kind)) for kind in ("element", "host")
        }
        print(f"| {name} | {of['element']} | {of['host']} | {sum(k.spilled for k in made)} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", help="comma-separated; default: all that the engine takes")
    parser.add_argument("--workloads", help=f"comma-separated; default: {', '.join(workloads())}")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--aot", action="store_true", help="registers and spills instead; needs no GPU")
    asked = parser.parse_args()
    chosen, shapes = taken(), workloads()
    names = asked.workloads.split(",") if asked.workloads else list(shapes)
    if unknown := set(names) - set(shapes):
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(shapes)}")
    if asked.rules:
        if unknown := set(asked.rules.split(",")) - set(chosen):
            parser.error(f"the triton engine takes no {', '.join(sorted(unknown))}; it takes {', '.join(chosen)}")
        chosen = {name: chosen[name] for name in asked.rules.split(",")}
    if asked.aot:
        registers(chosen, asked.dtype)
        return 0
    if not torch.cuda.is_available():
        print("no GPU that torch can use here: nothing was measured (registers and spills: --aot)", file=sys.stderr)
        return 2
    limit = bandwidth()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: a copy moves {limit / 1e9:.0f} GB/s")
    wrong = [f"{name}: {found}" for name, found, right in check("cuda", chosen) if not right]
    print(f"\n{len(chosen)} rules against the oracle: " + ("; ".join(wrong) or "all within their bounds"))
    for name in names:
        table(name, shapes[name], chosen, asked.dtype, limit)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
