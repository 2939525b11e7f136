"""`python -m benchmarks.web speed|fuzz|picture`: what is measured, beside its bar; exit code 1 on a miss."""

from __future__ import annotations

import argparse
import json
import sys

from . import fuzz, speed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("what", choices=("speed", "fuzz", "picture"))
    parser.add_argument("--requests", type=int, default=10_000, help="of fuzz")
    parser.add_argument("--seed", type=int, default=0, help="of fuzz")
    parser.add_argument("--drags", type=int, default=60, help="of speed")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", default="docs/lab.png", help="of picture")
    given = parser.parse_args(arguments)
    if given.what == "picture":
        speed.picture(given.out)
        return 0
    if given.what == "fuzz":
        found = fuzz.run(given.requests, given.seed)
        lines, ok = fuzz.lines(found), fuzz.ok(found)
    else:
        found = speed.run(given.drags)
        lines, ok = speed.lines(found), speed.ok(found)
    print(json.dumps(found, indent=1) if given.json else "\n".join(lines))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
