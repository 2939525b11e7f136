"""`python -m benchmarks.race null|again|killed|seconds`: are verdicts right, do they come back, how long?"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from descend.core.machine import cores
from descend.lab.race.race import Config
from descend.lab.race.space import DEFAULT_RULES
from descend.lab.store import Store
from descend.lab.tasks.catalogue import MODULES
from descend.lab.tasks.source import Source
from descend.lab.trials.runners.inline import one_thread
from descend.lab.trials.runners.runner import PROCESSES

from . import again, killed, null, seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.race", description=__doc__)
    which = parser.add_subparsers(dest="which", required=True)
    itself = which.add_parser("null", help="a rule against itself")
    itself.add_argument("--rule", default="adamw")
    itself.add_argument("--task", default="digits-logistic")
    itself.add_argument("--races", type=int, default=200)
    itself.add_argument("--first", type=int, default=0, help="the first seed")
    itself.add_argument("--steps", type=int, default=40)
    itself.add_argument("--seeds", type=int, default=27)
    more = which.add_parser("again", help="the standard race with other seeds; what is finished is kept in the store")
    more.add_argument("--task", default="digits")
    more.add_argument("--races", type=int, default=20)
    more.add_argument("--processes", type=int, default=min(PROCESSES, cores()))
    often = which.add_parser("killed", help="a small race killed (SIGKILL) and resumed against one left alone")
    often.add_argument("--kills", type=int, default=20)
    often = which.add_parser("seconds", help="a run of each task, in processor time")
    often.add_argument("tasks", nargs="*", default=list(MODULES))
    asked = parser.parse_args()
    if asked.which == "seconds":
        one_thread()
        for name, found, told in seconds.seconds(tuple(asked.tasks)):
            print(f"{name:18} {found:6.2f} s   the card says {told:g}", flush=True)
        return
    if asked.which == "killed":
        with TemporaryDirectory() as name:
            folder = Path(name)
            for at in killed.killed(asked.kills, folder):
                print(f"killed at {at} runs", flush=True)
            killed.whole(folder)
            same = killed.numbers(folder / "killed") == killed.numbers(folder / "whole")
            print(f"{asked.kills} kills: {'the same numbers, byte for byte' if same else 'OTHER NUMBERS'}")
        sys.exit(not same)
    if asked.which == "null":
        one_thread()
        said: list[str] = []
        for one in null.verdicts(asked.rule, asked.task, asked.races, asked.steps, asked.seeds, asked.first):
            said.append(one)
            if len(said) % 20 == 0 or len(said) == asked.races:
                print(null.told(said), flush=True)
        return
    source, store = Source(asked.task), Store.open()
    card = source.card()
    found = []
    for seed in range(asked.races):
        config = Config(DEFAULT_RULES, card.name, card.steps, card.batch, card.seeds, seed, card.delta, log=card.log)
        record = again.finished(config, source, store, asked.processes)
        found.append(again.verdicts_of(record))
        print(f"seed {seed}: {found[-1].leader}; {dict(found[-1].standing)}; {len(record.runs)} runs", flush=True)
    for what, share in again.agreement(found).items() if len(found) > 1 else ():
        print(f"{100 * share:5.1f} %  {what}")


if __name__ == "__main__":
    main()
