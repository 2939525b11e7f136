"""`descend runs`: the races in the store; where it lies; forgetting one."""

import json

import click


@click.command()
@click.option("--forget", metavar="RACE", help="Remove a race and its runs from the store.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Print the names only.")
def runs(forget: str | None, as_json: bool, quiet: bool) -> None:
    """List the races that are kept: what was raced, how far it came, how to go on.

    The store is one SQLite file, in $DESCEND_DATA or in the platform's place for data.
    """
    from .store import FILE, Store, StoreError, directory

    try:
        store = Store.open()
        if forget is not None:
            kept = store.race(forget)
            if kept is None:
                raise click.BadParameter(f"no race {forget!r}; `descend runs` lists them.", param_hint="--forget")
            store.forget(kept.id)
            if not quiet:
                click.echo(f"forgot {kept.id} and its {kept.runs} runs")
            return
        races = store.races()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    path = directory() / FILE
    if as_json:
        rows = [
            {
                "race": k.id,
                "begun": k.begun,
                "state": k.state,
                "runs": k.runs,
                "kind": "race" if k.is_race else "trials",
                **k.asked.get("config", {}),
            }
            for k in races
        ]
        click.echo(json.dumps({"store": str(path), "races": rows}, indent=1))
        return
    if quiet:
        click.echo("".join(f"{kept.id}\n" for kept in races), nl=False)
        return
    from ..draw.terminal import Table, console

    to = console(110)
    to.print(f"{path}{'' if races else ': no race yet'}", soft_wrap=True)
    if races:
        rows = [
            (
                k.id,
                k.begun[:16].replace("T", " "),
                k.state,
                str(k.runs),
                ", ".join(k.asked["config"]["rules"]) if k.is_race else "single trials",
            )
            for k in races
        ]
        head = ("race", "begun (UTC)", "state", "runs", "rules")
        to.print(Table(head, rows, right=("runs",), prose=True, indent=2, style="cyan"))
        to.print("show: descend race --from RACE    go on: descend race --resume RACE")
