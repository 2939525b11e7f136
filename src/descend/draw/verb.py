"""What the verbs share: --json or --quiet, a file that is refused before the run, and the exit code after Ctrl-C."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from . import files

INTERRUPTED = 130  # exit code: 128 + SIGINT, as shells have it
DOCUMENT = "Print everything as one JSON document."


def json_or_quiet(quiet: str, document: str = DOCUMENT) -> Callable[[Any], Any]:
    """The options `--json` (`as_json`) and `--quiet`, which exclude each other, with a line of help for each."""

    def refuse(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
        if value and (ctx.params.get("as_json") or ctx.params.get("quiet")):
            raise click.UsageError("--json and --quiet exclude each other.")
        return value

    def with_options(command: Any) -> Any:
        command = click.option("-q", "--quiet", is_flag=True, callback=refuse, help=quiet)(command)
        return click.option("--json", "as_json", is_flag=True, callback=refuse, help=document)(command)

    return with_options


@contextlib.contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """What these errors say is wrong with what was asked: their sentence, and exit code 2."""
    try:
        yield
    except errors as error:
        raise click.UsageError(str(error)) from None


class Above0(click.FloatRange):
    """A finite number above 0."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        return found if math.isfinite(found) else self.fail(f"{value} is no finite number.", param, ctx)


class Target(click.ParamType):
    """A file to be written, with one of these endings (default: any), as a Path."""

    name = "file"

    def __init__(self, *endings: str) -> None:
        self.endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from .axes import refusal

        why = files.reason(str(value)) or (refusal(Path(value), self.endings) if self.endings else "")
        return self.fail(f"{str(value)!r}: {why}", param, ctx) if why else Path(value)


def save(file: Path, write: Callable[[Path], Any], aside: bool = False) -> None:
    """Write the file and say so; `aside`: on stderr, for stdout has the result alone.

    Raises:
        ClickException: it cannot be written after all.
    """
    line = files.wrote(file, file.exists())
    try:
        write(file)
    except OSError as error:
        raise click.ClickException(f"could not write to {file}: {error.strerror or error}") from None
    click.echo(line, err=aside)
