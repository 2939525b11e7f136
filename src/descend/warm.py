"""``descend warm``: compile kernels ahead of time, into the cache that later processes read."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from .core.shown import Shown

DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass
class Warmed(Shown):
    """What became of the kernels of one rule in one type.

    Attributes:
        compiled: kernels made now. found: kernels that were there. unkept: kernels that the disk did not take.
        seconds: in all. reason: why there is no kernel, or why one is not kept.
    """

    rule: str
    dtype: str
    compiled: int = 0
    found: int = 0
    unkept: int = 0
    seconds: float = 0.0
    reason: str = ""
    names: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{self.rule:26} {self.dtype:9}"
        if not self.names:
            return f"{head} no kernel: {self.reason}"
        parts = [f"{self.compiled} compiled"] if self.compiled else []
        parts += [f"{self.found} found"] if self.found else []
        parts += [f"{self.unkept} not kept"] if self.unkept else []
        return f"{head} {', '.join(parts)}, {1000 * self.seconds:.0f} ms"


def warm(rule: Any, dtype: str = "float32") -> Warmed:
    """Have every kernel of a rule on disk, for each policy on non-finite gradients.

    Args:
        rule: a rule or a chain; of a rule for matrices, the rule for the other tensors.
        dtype: float32, float64, bfloat16 or float16.
    Raises:
        ValueError: there is no such dtype.
    """
    from .engines.llvm import engine
    from .engines.llvm.kernels import kernel, known, name_of

    if dtype not in DTYPES:
        raise ValueError(f"no dtype {dtype!r}; choose {', '.join(DTYPES)}")
    done = Warmed(rule.name, dtype)
    if reason := engine.ENGINE.refuses(rule, dtype):
        if rule.vectors is None:
            done.reason = reason
            return done
        rule = rule.vectors
        if reason := engine.ENGINE.refuses(rule, dtype):
            done.reason = reason
            return done
    wanted = [given for guard in (False, True) for given in engine.texts(engine.cut(rule, guard), dtype)]
    for given in dict.fromkeys(wanted):
        was_known, made = known(*given), kernel(*given)
        done.names.append(name_of(*given))
        there = was_known or made.origin == "disk"
        done.found, done.compiled = done.found + there, done.compiled + (not there)
        if made.unkept:
            done.unkept, done.reason = done.unkept + 1, made.unkept
        done.seconds += 0.0 if was_known else made.seconds
    return done


@click.command("warm")
@click.argument("names", metavar="[RULE|CHAIN]...", nargs=-1)
@click.option("--dtype", "dtypes", type=click.Choice(DTYPES), multiple=True, help="Of the parameters.  [float32]")
@click.option("--all", "every", is_flag=True, help="Every rule of `descend list`.")
@click.option("--clear", is_flag=True, help="Remove every compiled kernel.")
@click.option("--where", is_flag=True, help="Print the directory, and what is in it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing that went well.")
def command(
    names: tuple[str, ...], dtypes: tuple[str, ...], every: bool, clear: bool, where: bool, as_json: bool, quiet: bool
) -> None:
    """Compile the kernels of rules ahead of time, so that no first step waits for it.

    CHAIN is a chain of names: clip_norm+adamw+ema. Kernels are kept in DESCEND_CACHE, else in the user's directory
    for caches; DESCEND_CACHE=off keeps none. Exit code 1 if the disk did not take a kernel.
    """
    from .engines.llvm import cache
    from .explain.named import named

    if sum([clear, where, bool(names) or every]) != 1 or (names and every):
        raise click.UsageError("name rules, or give one of --all, --clear, --where.")
    if clear or where:
        _about(cache.clear() if clear else _held(), clear, as_json, quiet)
        return
    rules = _every() if every else [named(name, steps=True) for name in names]
    lines = []
    try:
        for rule in rules:
            for dtype in dtypes or ("float32",):
                lines.append(warm(rule, dtype))
                if not (as_json or quiet):
                    click.echo(str(lines[-1]))
    except KeyboardInterrupt:
        click.echo("interrupted; what was compiled so far is kept", err=True)
    unkept = sum(line.unkept for line in lines)
    if as_json:
        click.echo(json.dumps({"directory": _place(), "rules": [asdict(line) for line in lines]}, indent=1))
    elif not quiet:
        made, found = sum(line.compiled for line in lines), sum(line.found for line in lines)
        seconds = sum(line.seconds for line in lines)
        click.echo(f"{made} compiled and {found} found in {seconds:.2f} s; kept in {_place() or 'no directory'}")
    if unkept:
        click.echo(
            f"Error: {unkept} kernels are not kept: {next(line.reason for line in lines if line.unkept)}", err=True
        )
        raise SystemExit(1)


def _about(held: tuple[int, int], cleared: bool, as_json: bool, quiet: bool) -> None:
    from .engines.llvm import cache

    kernels, size = held
    reason = cache.why_not()
    if as_json:
        facts = {"directory": _place(), "kernels": kernels, "bytes": size, "cleared": cleared, "reason": reason}
        click.echo(json.dumps(facts, indent=1))
    elif not quiet or not cleared:
        click.echo(_place() or "nowhere")
        if not quiet:
            what = f"{kernels} kernels, {size / 1024:.0f} KiB"
            click.echo(f"no cache: {reason}" if reason else f"{'removed ' if cleared else ''}{what}")


def _held() -> tuple[int, int]:
    from .engines.llvm import cache

    found = cache.entries()
    kernels = [about.st_size for file, about in found if file.suffix == ".kernel"]
    return len(kernels), sum(kernels)


def _place() -> str | None:
    from .engines.llvm import cache

    path = cache.directory()
    return None if path is None else str(path)


def _every() -> list[Any]:
    from . import rules

    return list(rules.all().values())
