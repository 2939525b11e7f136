"""Every command of docs/data.md, run in its order, on small pictures from a server on this machine."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from data_served import folder_of, jpeg, serving

from benchmarks import data as measure
from descend.cli import descend
from descend.lab.data.manifest import read

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
SMALLER = {  # what the page says, and how it is said of few pictures and a server that is ours
    "--per-class 1000": "--per-class 10",
    "data collect": "data collect --rate 10000 --processes 0",
    "data check": "data check --processes 0",
    "--quick": "--quick --steps 20 --seeds 2",
}
CLASSES = ("dog", "wolf", "hyena")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import shutil

    import pyarrow as pa
    from pyarrow import parquet

    monkeypatch.chdir(tmp_path)
    with serving() as server:
        urls = {
            label: [server.picture(f"/{label}/{k}.jpg", jpeg(100 * n + k)) for k in range(12)]
            for n, label in enumerate(CLASSES)
        }
        for label in CLASSES:
            (tmp_path / f"{label}.txt").write_text("\n".join(urls[label]))
        (tmp_path / "list.csv").write_text("\n".join(["url,class", *(f"{url},hyena" for url in urls["hyena"])]))
        table = {
            "url": [url for label in CLASSES for url in urls[label]],
            "class": [label for label in CLASSES for _ in range(12)],
        }
        parquet.write_table(pa.table(table), tmp_path / "list.parquet")
        folder_of(tmp_path / "photos", {"dog": [jpeg(400 + k) for k in range(9)]})
        folder_of(tmp_path / "zipped", {"wolf": [jpeg(500 + k) for k in range(9)]})
        shutil.make_archive(str(tmp_path / "wolves"), "zip", tmp_path / "zipped")
        for line in commands():
            if "drop" in line:
                (tmp_path / "marks.txt").write_text(read(tmp_path / "pictures")[3].file + "\n")
            for said, smaller in SMALLER.items():
                line = line.replace(said, smaller)
            program, *words = shlex.split(line)
            assert program == "descend"
            done = CliRunner().invoke(descend, words)
            lacking = "check" in words  # the picture that was dropped is missing, and that is said
            assert done.exit_code == int(lacking), (line, done.output)
            assert not lacking or done.output.count("✗") == 1, done.output
    assert len(commands()) == 8
    assert {row.licence for row in read(tmp_path / "mixed")} == {"CC BY 4.0"}
    assert {row.label for row in read(tmp_path / "mixed")} == set(CLASSES)
    assert (tmp_path / "race-pictures.html").exists()


def test_the_measure_makes_pictures_that_are_unlike_but_for_its_copies(tmp_path: Path):
    from descend.lab.data.collect import collect

    for begin, end in ((0, 2), (18, 23)):  # the 19th is a copy of the 18th
        measure.make((str(tmp_path / "photos"), begin, end))
    found = collect([tmp_path / "photos"], tmp_path / "set", processes=0)
    assert found.reasons() == {"near duplicate": 1}
    assert list(measure.parts(tmp_path / "photos", 2)) == [
        "decode the JPEG", "decode, scale to 512, turn, strip", "encode the JPEG", "two perceptual hashes", "thumbnail"
    ]  # fmt: skip
