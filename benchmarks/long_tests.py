"""`python -m pytest -n 2 --durations=0 --durations-min=0.02 | python -m benchmarks.long_tests > tests/long.txt`

The files of tests that `make check` leaves out: those whose tests take 0.9 seconds together, or as many as are given.
"""

import re
import sys
from collections import defaultdict

TEST = re.compile(r"(\d+\.\d+)s (?:call|setup|teardown) +tests/(\S+?)::")


def main() -> None:
    took: defaultdict[str, float] = defaultdict(float)
    for line in sys.stdin:
        if found := TEST.match(line):
            took[found[2]] += float(found[1])
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 0.9
    print(*sorted(name for name, seconds in took.items() if seconds > limit), sep="\n")


if __name__ == "__main__":
    main()
