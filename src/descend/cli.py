"""The command line: verbs, each loaded when it is called, so that ``descend list`` waits for no framework."""

import errno
import importlib
import sys

import click

from .core.nearest import did_you_mean

VERBS = {  # verb -> where its command stands, and its line of help
    "race": ("lab.race.cli:race", "Race update rules, fairly, until it is decided."),
    "list": ("explain.cli:list_rules", "List every rule: year, idea, state, bytes."),
    "explain": ("explain.cli:explain", "Explain a rule: formula, cost, a step by hand."),
    "words": ("explain.words:words", "List the words a rule is written with."),
    "choose": ("lab.choosing.cli:choose", "Choose rule, rate and schedule for your model."),
    "map": ("lab.diagnosis.cli:map_", "Put rules to small problems: what breaks what."),
    "tasks": ("lab.tasks.cli:tasks", "List what can be raced on: data, size, seconds a run."),
    "runs": ("lab.runs:runs", "List the races that are kept, finished or not."),
    "lr": ("lab.rate.cli:lr", "Find a learning rate for a rule by a range test."),
    "minimize": ("search.cli:minimize", "Search for the minimum of a function of yours."),
    "surface": ("lab.surface.cli:surface", "Draw the paths of rules on a surface."),
    "lab": ("lab.web.cli:lab", "Open a page: surfaces, races, range tests, live."),
    "check": ("checks.cli:check", "Check a rule of yours as the project checks its own."),
    "warm": ("warm:command", "Compile kernels ahead of time, so that no first step waits."),
    "bench": ("bench.cli:bench", "Measure speed and accuracy against torch.optim."),
    "data": ("lab.data.cli:data", "Collect, clean and split an image set of your own."),
}
GROUPS = {  # what a person wants -> the verbs for it
    "Read": ("list", "explain", "words"),
    "Choose": ("race", "choose", "lr", "map", "tasks", "runs"),
    "See": ("surface", "lab"),
    "Solve": ("minimize",),
    "Build": ("check", "warm", "bench", "doctor"),
    "Data": ("data",),
}
EXTRAS = {  # what an optional package is for, and what brings it
    "sklearn": ("scikit-learn", "lab"),
    "jinja2": ("Jinja2", "lab"),
    "PIL": ("Pillow", "data"),
    "starlette": ("Starlette", "lab"),
    "uvicorn": ("uvicorn", "lab"),
    "imagehash": ("ImageHash", "data"),
    "httpx2": ("httpx2", "data"),
    "protego": ("Protego", "data"),
    "pyarrow": ("pyarrow", "data"),
    "torch": ("PyTorch", "torch"),
    "jax": ("JAX", "jax"),
    "optax": ("Optax", "jax"),
}
FIRST = """\
descend: every way to turn a gradient into the next parameters.

  descend race           a fair race of eight classics, on real data
  descend tasks          what else can be raced on
  descend runs           the races so far, and how to go on with one
  descend choose FILE    rule, rate and schedule for a model of yours
  descend map            which rules break on what
  descend lr adam        a learning rate for it, with the reason
  descend surface        what the paths of rules look like, and why
  descend lab            the same alive, in your browser; races too
  descend explain adam   formula, state, cost, and one step by hand
  descend list           every rule there is
  descend words          what a rule of yours is written with
  descend minimize F     the minimum of a function of yours, by any method
  descend check FILE     is a rule of yours what it promises to be
  descend warm adamw     compile its kernels before the first step
  descend bench          how fast they are on this machine
  descend data           an image set of your own, to race on

descend VERB --help tells what else a verb can do.
"""


class Verbs(click.Group):
    """A group whose commands are imported when they are wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        found._help_option = None  # click keeps the one of its first call, which may not have known -h
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            ctx.fail(f"no verb {args[0]!r}.{did_you_mean(args[0], VERBS)} Verbs: {', '.join(VERBS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by what a person wants; one that is in no group comes last."""
        grouped = {verb for verbs in GROUPS.values() for verb in verbs}
        groups = {**GROUPS, "More": tuple(verb for verb in VERBS if verb not in grouped)}
        for wish, verbs in groups.items():
            if rows := [(f"{verb:8}", VERBS[verb][1]) for verb in verbs if verb in VERBS]:
                with formatter.section(wish):
                    formatter.write_dl(rows)


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    subcommand_metavar="VERB [OPTIONS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(sys.modules["descend"].__version__, prog_name="descend", message="%(prog)s %(version)s")
@click.pass_context
def descend(ctx: click.Context) -> None:
    """Every way to turn a gradient into the next parameters: race them, read them, measure them."""
    if ctx.invoked_subcommand is None:
        click.echo(FIRST, nl=False)


def main() -> None:
    """The console script. A package that is not installed, or a full disk, is one sentence and no traceback."""
    try:
        descend(prog_name="descend")
    except ImportError as error:
        name, extra = EXTRAS.get((error.name or "").partition(".")[0], ("", ""))
        if not name and "pip install" not in str(error):
            raise  # a mistake of ours
        sentence = f"this needs {name}, which is not installed: pip install 'descend[{extra}]'" if name else error
        click.echo(f"Error: {sentence}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        click.echo(f"Error: could not write: {error.strerror}", err=True)
        from .draw.terminal import drop_output

        drop_output()
        sys.exit(1)
