"""`descend surface`: the paths of rules on a surface, as a table and as a picture."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import click

from ...core.rule import Rule
from ...draw.axes import ENDINGS, MOVING
from ...draw.verb import INTERRUPTED, Above0, Target, json_or_quiet, refusing, save
from ...explain.named import named
from ..tasks.source import Source

COMMANDLINE = click.core.ParameterSource.COMMANDLINE
OF_SURFACES = ("start", "noise", "ball", "mass", "friction", "dt", "arrows", "states")
OPTION = {"states": "--state"}
OF_TASKS = ("around", "sharpness", "full_batch", "grid", "span", "seconds")


@click.command()
@click.argument("what", metavar="[NAME|FILE:FUNCTION|TASK|SCRIPT]", required=False)
@click.option("--rules", metavar="A,B,…", help="Which; default: those that tell the surface's story.")
@click.option("--lr", metavar="RATE|RULE=RATE,…", help="One for all, or of each; default: that of the story.")
@click.option("--tuned", is_flag=True, help="Each rule at its best rate of 19; on a task the default.")
@click.option("--start", metavar="X,Y", help="Where all begin.")
@click.option("--steps", type=click.IntRange(1, 100_000), help="Default: the surface's.")
@click.option("--noise", type=click.FloatRange(min=0), default=0.0, help="Deviation added to each part of the slope.")
@click.option("--ball", is_flag=True, help="A ball with friction, and momentum, which is its law in steps.")
@click.option("--mass", type=float, default=1.0, show_default=True, help="Of the ball.")
@click.option("--friction", type=float, default=0.5, show_default=True, help="Of the ball.")
@click.option("--dt", type=float, default=0.2, show_default=True, help="Time of a step of the ball.")
@click.option(
    "--arrows", type=click.IntRange(min=0), default=0, metavar="N",
    help="Draw jump and correction of the first N steps: momentum_velocity, nesterov_lookahead.",
)  # fmt: skip
@click.option(
    "--state", "states", type=click.IntRange(0, 200), is_flag=False, flag_value=8, default=0, metavar="[N]",
    help="Draw m, √v and the step at N points of each path (8), and at the mark of each in an animation.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of samples and noise.")
@click.option("--around", is_flag=True, help="Of a task: the plane around the lowest end, along the filters.")
@click.option("--sharpness", is_flag=True, help="Of a task: the top Hessian eigenvalue along the paths, and its limit.")
@click.option("--full-batch", is_flag=True, help="Of a task: each step on all that the loss is of.")
@click.option("--grid", type=click.IntRange(3, 501), default=51, show_default=True, help="Of a task: places a side.")
@click.option("--span", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Of --around.")
@click.option("--seconds", type=Above0(), help="Of a task: stop after so long, with what is done.")
@click.option(
    "-o", "--out", type=Target(*ENDINGS, *MOVING, ".html", ".json"), metavar="FILE",
    help="Write it: .html, .svg, .png, .pdf, .gif, .apng, .mp4 or .json. One that is there is replaced.",
)  # fmt: skip
@json_or_quiet(
    "Print rule, rate and the step from which on it is there; on a task the headline.",
    "Print all points and states as one JSON document.",
)
@click.pass_context
def surface(ctx: click.Context, **given: Any) -> None:
    """Paths of rules on a surface, all of them computed by the library itself.

    NAME is one of those that `descend surface` lists; FILE:FUNCTION is f(x, y) of yours in a Python file, which may say
    FRAME, START, MINIMA, LR and STEPS beside it.

    TASK (`descend tasks`) or SCRIPT (with model(), loss(model, batch) and batches(seed), as for `descend race`) is
    trained by the rules from one start: what is drawn is its loss on the plane that holds most of their paths, with
    how much of the movement it holds and how far it misleads. Ctrl-C keeps what is done.
    """
    from .landscape.command import source_of

    what = given["what"]
    if given["tuned"] and given["lr"] is not None:
        raise click.UsageError("--tuned and --lr exclude each other.")
    if given["ball"] and any(given[name] for name in ("rules", "tuned", "lr", "noise", "arrows", "states")):
        raise click.UsageError("--ball has its own rule and rate: --mass, --friction and --dt decide.")
    if what is None:
        _list(given["as_json"], given["quiet"])
        return
    source = source_of(what)
    others = OF_TASKS if source is None else OF_SURFACES
    if said := [
        OPTION.get(k, f"--{k.replace('_', '-')}") for k in others if ctx.get_parameter_source(k) is COMMANDLINE
    ]:
        of = "a task or a training script" if source is None else "a surface over the plane"
        raise click.UsageError(f"{', '.join(said)}: only for {of}, which {what} is not.")
    chosen = [named(word, steps=True) for word in given["rules"].split(",") if word.strip()] if given["rules"] else None
    rate = _rate(given["lr"], chosen)
    if source is None:
        _on_surface(what, chosen, rate, given)
    else:
        _on_task(ctx, source, chosen, rate, given)


def _rate(text: str | None, chosen: list[Rule] | None) -> float | dict[str, float] | None:
    """A rate for all, or by rule."""
    if text is None:
        return None
    try:
        if "=" not in text:
            return float(text)
        pairs = [part.split("=") for part in text.split(",") if part.strip()]
        found = {named(name, steps=True).name: float(rate) for name, rate in pairs}
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: a number, or RULE=NUMBER,… as in adamw=0.003,sgd=0.1", param_hint="--lr"
        ) from None
    if chosen is not None and (unknown := set(found) - {rule.name for rule in chosen}):
        raise click.BadParameter(f"{', '.join(sorted(unknown))} does not run: see --rules", param_hint="--lr")
    return found


def _on_surface(what: str, chosen: Any, rate: Any, given: dict[str, Any]) -> None:
    from .running import roll, run

    out, steps, as_json, quiet = (given[name] for name in ("out", "steps", "as_json", "quiet"))
    with refusing(ValueError, TypeError):
        on, begin = _surface(what), _point(given["start"])
        if given["ball"]:
            found = roll(on, begin, **{name: given[name] for name in ("mass", "friction", "dt")}, steps=steps)
        else:
            rate = "tuned" if given["tuned"] else rate
            how = {name: given[name] for name in ("seed", "noise", "arrows", "states")}
            found = run(on, chosen, begin, lr=rate, steps=steps, **how)
    if as_json:
        click.echo(found.to_json())
    elif quiet:
        for path in found:
            rate = "-" if path.lr is None else f"{path.lr:g}"
            click.echo(f"{path.rule} {rate} {'-' if path.reached is None else path.reached}")
    else:
        from ...draw.terminal import console

        to = console(120)
        to.print(f"{found.said}\n")
        to.print(found.table())
        if found.story:
            to.print(f"\n{found.story}")
    if out is not None:
        save(out, found.save, as_json or quiet)
    elif not as_json and not quiet:
        click.echo(f"\nas a picture that moves: descend surface {what} -o {found.surface.name}.html")


def _on_task(ctx: click.Context, source: Source, chosen: Any, rate: Any, given: dict[str, Any]) -> None:
    from ..tasks.task import TaskError
    from .landscape.command import RULES, show

    if given["around"] and given["sharpness"]:
        raise click.UsageError("--around and --sharpness exclude each other.")
    if importlib.util.find_spec("torch") is None:
        raise click.UsageError("real landscapes need torch: pip install 'descend[torch]'")
    chosen = chosen or [named(word) for word in RULES.split(",")]
    rates = dict.fromkeys((rule.name for rule in chosen), rate) if isinstance(rate, float) else rate
    out, as_json, quiet = given["out"], given["as_json"], given["quiet"]
    if given["sharpness"] and out is not None and out.suffix.lower() in MOVING:
        raise click.BadParameter(f"{out}: of --sharpness there is no animation", param_hint="-o")
    view = "around" if given["around"] else "sharpness" if given["sharpness"] else "paths"
    how = {name: given[name] for name in ("steps", "seed", "full_batch", "grid", "span", "seconds")}
    with refusing(TaskError):
        found, interrupted = show(source, chosen, rates, view=view, **how, silent=as_json or quiet)
    if as_json:
        click.echo(found.to_json())
    elif quiet:
        click.echo(found.answer)
    else:
        from ...draw.terminal import console

        to = console(120)
        to.print(f"{found.answer}\n")
        if found.paths:
            to.print(found.table(), "")
        to.print("\n".join([found.said, *found.about]))
    if out is not None:
        save(out, found.save, as_json or quiet)
    elif not as_json and not quiet:
        click.echo(f"\nas a picture: descend surface {given['what']} -o {source.name}.html")
    if interrupted:
        ctx.exit(INTERRUPTED)


def _surface(what: str):
    """Raises: ValueError: there is none."""
    from ...core.nearest import did_you_mean
    from ..tasks.catalogue import MODULES
    from .catalogue import SURFACES
    from .running import surface_of
    from .yours import from_file

    if what not in SURFACES and not {".", ":", "/"} & set(what):
        near = did_you_mean(what, [*SURFACES, *MODULES])
        raise ValueError(f"no surface {what!r}, and no task.{near} `descend surface` and `descend tasks` list them.")
    file, colon, name = what.rpartition(":")
    if not colon and what.endswith(".py"):
        file, name = what, "f"
    return from_file(Path(file), name) if file else surface_of(what)


def _point(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}: two numbers with a comma, as in -1.2,1", param_hint="--start") from None
    return x, y


def _list(as_json: bool, quiet: bool) -> None:
    from .catalogue import SURFACES

    if quiet:
        click.echo("".join(f"{name}\n" for name in SURFACES), nl=False)
    elif as_json:
        words = ("name", "title", "formula", "frame", "start", "minima", "story", "rules", "lr", "steps", "near")
        click.echo(json.dumps([{word: getattr(one, word) for word in words} for one in SURFACES.values()], indent=1))
    else:
        from ...draw.terminal import Table, console

        rows = [(name, one.story) for name, one in SURFACES.items()]
        to = console(120)
        to.print(Table(("surface", "what it shows"), rows, prose=True, indent=2, style="cyan"))
        to.print("see one: descend surface NAME -o FILE.html")
