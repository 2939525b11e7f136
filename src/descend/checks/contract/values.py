"""Checks of the values: finite where they can be, NaN where it came from, no element before another, float32."""

import numpy as np

from ...engines import load
from ..traces import STEPS, gradients
from .compare import place, ulps
from .report import Outcome, green, red, skipped
from .run import check
from .runs import Snapshot, Subject, run

FAR = 0.01  # of the way from the start, between float32 and float64 after 30 steps


def not_finite(taken: list[Snapshot]) -> str:
    """Where the first NaN or infinity stands, in words; empty if there is none."""
    for t, after in enumerate(taken, 1):
        for name, arrays in after.items():
            for x in arrays:
                if not np.isfinite(x).all():
                    at = np.unravel_index(int(np.argmin(np.isfinite(x))), x.shape)
                    return f"{place(t, name, x.shape, at)} is {x[at]}"
    return ""


@check("finite", "On finite gradients from 1e-4 to 1e2 the parameters and the state stay finite.")
def _finite(it: Subject) -> Outcome:
    if found := not_finite(it.plain):
        return red(found, "Look for a sqrt or log of a negative number, a power that grows, or a division by zero.")
    return green(f"{STEPS} steps")


@check("zeros", "Gradients of zero make no NaN: there is no 0 / 0.")
def _zeros(it: Subject) -> Outcome:
    if not_finite(it.plain):
        return skipped("not looked at before 'finite' is green")
    start, holes = gradients(it.shapes)
    none = [[np.zeros_like(x) for x in start]] * 3
    for what, grads in (("all gradients zero", none + holes[:7]), ("an eighth of the gradients zero", holes)):
        if found := not_finite(run(it.rule, start, grads, it.settings[0])):
            return red(f"with {what}, {found}", "Add an eps to the divisor: g / (sqrt(v) + eps), or maximum(n, eps).")
    return green("zero elements, zero tensors, zero parameters")


@check("nan", "In an elementwise rule a NaN stays in its element.")
def _nan(it: Subject) -> Outcome:
    if not it.elementwise:
        return skipped("it is not elementwise: one element may reach the others")
    start, grads = gradients(((5,), (4, 3)), steps=10, holes=False)
    clean = run(it.rule, start, grads, it.settings[0])
    bad = [[np.array(g) for g in step] for step in grads]
    bad[2][0][1] = np.nan
    for t, (a, b) in enumerate(zip(clean, run(it.rule, start, bad, it.settings[0]), strict=True), 1):
        for name in a:
            for k, (x, y) in enumerate(zip(a[name], b[name], strict=True)):
                wrong = ~((x == y) | (np.isnan(x) & np.isnan(y)))
                if k == 0 and x.shape == (5,):
                    wrong[1] = False
                if wrong.any():
                    at = np.unravel_index(int(np.argmax(wrong)), x.shape)
                    return red(
                        f"a NaN in element 1 of the gradient of step 3: {place(t, name, x.shape, at)} is {y[at]}",
                        "Let an element read its own alone; sums have words (norm, mean, total), which say so.",
                    )
    return green("one NaN, and no other element moved")


@check("order", "In an elementwise rule the order of the elements does not matter.")
def _order(it: Subject) -> Outcome:
    if not it.elementwise:
        return skipped("it is not elementwise: it may know rows, columns or sums")
    (x,), grads = gradients(((12,),), steps=10, holes=False)
    other = np.random.default_rng(3).permutation(12)
    here = run(it.rule, [x], grads, it.settings[0])
    there = run(it.rule, [x[other]], [[g[other] for g in step] for step in grads], it.settings[0])
    for t, (a, b) in enumerate(zip(here, there, strict=True), 1):
        moved = {name: [v[other] if v.shape == (12,) else v for v in values] for name, values in a.items()}
        if (apart := ulps(moved, b)) > 16:
            return red(
                f"step {t}: elements in another order end {apart:.3g} units in the last place from where they were",
                "Let no element depend on where it stands.",
            )
    return green("12 elements in another order")


@check("float32", "In float32 it does what it does in float64.")
def _float32(it: Subject) -> Outcome:
    engine = next((e for e in ("llvm", "torch") if not (it.quick and e == "llvm") and _runs(it, e)), None)
    if engine is None:
        return skipped("no engine runs it in float32 here")
    start, grads = it.given
    start, grads = [_rounded(x) for x in start], [[_rounded(g) for g in step] for step in grads]
    wide = run(it.rule, start, grads, it.settings[0])
    narrow = run(it.rule, start, grads, it.settings[0], engine=engine, dtype="float32")
    if not not_finite(wide) and (found := not_finite(narrow)):
        return red(
            f"{found} in float32, and finite in float64",
            "Keep numbers between 1e-38 and 1e38: no fourth powers, no eps of 1e-50.",
        )
    apart, where = max(_apart(x, a, b) for x, a, b in zip(start, wide[-1]["p"], narrow[-1]["p"], strict=True))
    if apart > FAR:
        return red(
            f"{where}: after {STEPS} steps {apart:.1%} of the way apart ({engine})",
            "Look for a difference of nearly equal numbers, and for numbers below 1e-38, which become zero.",
        )
    return green(f"{apart:.1e} of the way apart after {STEPS} steps ({engine})")


def _rounded(x: np.ndarray) -> np.ndarray:
    return np.array(x, np.float32).astype(np.float64)


def _runs(it: Subject, engine: str) -> bool:
    try:
        return load(engine).refuses(it.rule, "float32") is None
    except ImportError:
        return False


def _apart(start: np.ndarray, wide: np.ndarray, narrow: np.ndarray) -> tuple[float, str]:
    """How far two ends are apart, as a share of the way there; a way of a few roundings counts as some more."""
    if not wide.size or not np.isfinite(wide).all():
        return 0.0, "nowhere"
    way = max(float(np.abs(wide - start).max()), 1e-3 * float(np.abs(start).max()), 1e-30)
    return float(np.abs(wide - narrow).max()) / way, f"p of shape {start.shape}"
