"""The picture in the README: the table and the verdict of a race, from its record.

descend race -o /tmp/race && python docs/picture.py /tmp/race/race-digits.json     (writes docs/race.svg)
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console

from descend.lab.race.live import print_results
from descend.lab.race.record import load
from descend.lab.race.results import results


def draw(record_file: Path, target: Path) -> None:
    """Write the terminal's view of a finished race as SVG."""
    record = load(record_file)
    console = Console(record=True, width=92, file=io.StringIO(), force_terminal=True, highlight=False, emoji=False)
    print_results(console, record, results(record), record_file.with_suffix(".html"), str(record_file))
    svg = console.export_svg(title="descend race")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # Rich's fonts would be fetched from afar
    target.write_text(re.sub(r"<!--.*?-->\s*", "", svg).replace("Fira Code", "ui-monospace"), encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_name("race.svg"))
