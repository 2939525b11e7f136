"""A race on what somebody brings: from the data to a report in one command, and everything bad refused by name."""

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from descend.lab.race.cli import race
from descend.lab.tasks.source import source_at, tried
from descend.lab.tasks.yours.columns import days, numbers
from descend.lab.tasks.yours.decoding import decoded
from descend.lab.tasks.yours.pictures import Folder
from descend.lab.tasks.yours.table import Table
from descend.lab.trials.train import train
from descend.lab.trials.trial import Trial

SMALL = ("--rules", "adamw,momentum", "--quick", "--steps", "20", "--seeds", "2")
SCRIPT = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))

def loss(model, batch):
    x, y = batch
    return (model(x) - y).square().mean()

def batches(seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(7):
        x = torch.randn(16, 4, generator=generator)
        yield x, x[:, :1] * x[:, 1:2]
"""


def raced(*words: str, out: Path) -> Result:
    return CliRunner().invoke(race, [*words, "-o", str(out)])


def refused(*words: str) -> str:
    done = CliRunner().invoke(race, words)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.split())


def table(path: Path, rows: int = 300, **changed: object) -> Path:
    draw = random.Random(1)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["a", "b", "colour", "note", "kind", "price"])
        for k in range(rows):
            a, b, colour = draw.gauss(0, 1), draw.gauss(5, 100), draw.choice("rgb")
            row = {
                "a": a,
                "b": b if k % 50 else "",
                "colour": colour,
                "note": f"n{k}",
                "kind": "xy"[a > 0],
                "price": a + b,
            }
            lines.writerow({**row, **changed}.values())
    return path


@pytest.mark.parametrize("target", ["kind", "price"])
def test_a_table_is_raced(tmp_path: Path, target: str):
    path = table(tmp_path / "sales.csv")
    done = raced(str(path), "--target", target, *SMALL, out=tmp_path)
    assert done.exit_code == 0, done.output
    assert "Use " in done.output
    record = json.loads((tmp_path / "race-sales.json").read_text())
    assert record["task"]["title"] == f"sales.csv: {target}"
    assert "left out, with too many words: note" in record["task"]["data"]
    assert (tmp_path / "race-sales.html").exists()


def test_columns_are_standardised_words_are_indicators_and_gaps_are_the_mean(tmp_path: Path):
    made = Table({"path": str(table(tmp_path / "t.csv")), "target": "kind"})
    assert made.x.shape == (300, 2 + 3 + 1)  # two numbers, three colours, the price
    assert made.x[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert made.x[:, 0].std() == pytest.approx(1, abs=1e-3)
    assert made.x[0, 1] == 0, "an empty cell"
    assert made.x[:, 2:5].sum(axis=1) == pytest.approx(1)
    assert not set(made.train) & set(made.held)


@pytest.mark.parametrize(
    ("changed", "target", "says"),
    [
        ({}, "", "name the column to be told with --target. Columns: a, b, colour"),
        ({}, "pric", "no column 'pric'. Did you mean 'price'? Columns: a, b, colour"),
        ({"kind": "x"}, "kind", "kind is 'x' in every row; there is nothing to tell"),
        ({}, "note", "note has 300 different words in 300 rows"),
        ({"price": "inf"}, "price", "price is 'inf' in every row"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, changed: dict, target: str, says: str):
    path = table(tmp_path / "t.csv", **changed)
    assert says in refused(str(path), *(["--target", target] if target else []))


def test_a_damaged_table_is_refused_with_the_row(tmp_path: Path):
    path = table(tmp_path / "t.csv")
    path.write_text(path.read_text() + "1,2\n")
    assert "t.csv, row 302: 2 cells under 6 headings" in refused(str(path), "--target", "kind")
    assert "at least 20 are needed" in refused(str(table(path, rows=3)), "--target", "kind")


def test_a_script_is_raced_and_other_epochs_have_other_batches(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT)
    done = raced(str(path), *SMALL, out=tmp_path)
    assert done.exit_code == 0, done.output
    problem = source_at(path).problem()
    first = [x.numpy().tobytes() for x, _ in problem.batches(3, 21)]
    assert len(set(first)) == len(first) == 21
    assert first == [x.numpy().tobytes() for x, _ in problem.batches(3, 21)]
    held = {x.numpy().tobytes() for x, _ in problem.validation}
    assert not held & set(first)
    one, again = (train(Trial("adam", 1e-2, 0, 20), problem).val_loss for _ in range(2))
    assert one == again


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "def model",
            "def modell",
            "has no function model; a race needs model(), loss(model, batch) and batches(seed)",
        ),
        (".mean()", "", "the loss must be a tensor of one number; it is a tensor of shape (16, 1)"),
        (".mean()", ".mean().item()", "the loss must be a tensor of one number; it is of type float"),
        ("(model(x) - y).square().mean()", "y.mean()", "the loss does not depend on the model's parameters"),
        (".square()", ".log()", "the loss of the first batch is nan before any step"),
        ("range(7)", "range(1)", "gives 1 batch alone: at least two are needed, or a function validation()"),
        ("range(7)", "range(0)", "gives no batch"),
        ("return nn.Sequential", "return (nn.Sequential, ", "mine.py, line "),
        ("nn.Linear(4, 8)", "nn.Linear(5, 8)", "the first step stopped with RuntimeError: mat1 and mat2"),
        (
            "import torch\n",
            "import torch\nimport no_such_thing\n",
            "No module named 'no_such_thing'",
        ),
        ("nn.Linear(8, 1))", "nn.Linear(8, 1)).half()", "must be all float32 or all float64"),
        ("nn.Linear(8, 1))", "nn.Linear(8, torch.seed() % 1000 + 1))", "the model is another each time it is built"),
        ("nn.Linear(8, 1))", "KEPT)\n\nKEPT = nn.Linear(8, 1)", "the same parameters each time it is built"),
    ],
)
def test_a_bad_script_is_refused(tmp_path: Path, old: str, new: str, says: str):
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT.replace(old, new))
    assert says in refused(str(path))


def test_a_time_too_short_for_one_run_is_refused(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT)
    assert "--seconds: 1e-06 s, but one run of 300 steps takes about" in refused(str(path), "--seconds", "1e-6")
    assert "one run of 600 steps takes about" in refused("--seconds", "0.001")


def test_what_is_not_there_is_refused():
    assert "there is no file nothing.csv" in refused("nothing.csv", "--target", "x")
    assert "--target: it names a column of a .csv file" in refused("digits", "--target", "x")


def images(folder: Path, count: int = 40) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(count):
        place = folder / ("dark" if k % 2 else "light")
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 90, (20, 24, 3)) + (0 if k % 2 else 150)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{k}.png")
    return folder


def test_a_folder_of_images_is_raced(tmp_path: Path):
    folder = images(tmp_path / "photos")
    (folder / "dark" / "broken.jpg").write_bytes(b"no image at all")
    done = raced(str(folder), *SMALL, out=tmp_path)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "race-photos.json").read_text())["task"]["data"]
    assert told == "photos: 40 images in 2 classes, 1 unreadable (dark/broken.jpg)"
    assert "1 unreadable (dark/broken.jpg)" in " ".join(done.output.split())


def test_bad_folders_are_refused(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert "put each class in a folder" in refused(str(tmp_path / "empty"))
    one = images(tmp_path / "one")
    for file in (one / "light").iterdir():
        file.rename(one / "dark" / file.name)
    assert "all images are in one folder, dark; there is nothing to tell apart" in refused(str(one))
    bad = tmp_path / "bad" / "a"
    bad.mkdir(parents=True)
    for k in range(5):
        (bad / f"{k}.png").write_bytes(b"x")
    assert "0 readable images, 5 unreadable (a/0.png, a/1.png, a/2.png, …); at least 20" in refused(str(bad.parent))
    assert len(Folder(images(tmp_path / "good")).y) == 40


def test_a_text_is_raced(tmp_path: Path):
    path = tmp_path / "poem.txt"
    path.write_text("the quick brown fox jumps over the lazy dog, and so on; " * 60)
    done = raced(str(path), *SMALL, out=tmp_path)
    assert done.exit_code == 0, done.output
    problem = source_at(path).problem()
    params = problem.init(0)
    batch = next(iter(problem.batches(0, 1)))
    loss, _ = problem.loss_and_grads(params, batch)
    problem.judged = batch
    assert problem.validate(params)[0] == pytest.approx(loss, rel=1e-5), (
        "rows of the matrix are what one-hot inputs give"
    )
    assert tried(problem, 100) > 0


def test_bad_texts_are_refused(tmp_path: Path):
    path = tmp_path / "poem.txt"
    path.write_text("short")
    assert "poem.txt has 5 characters; at least 2,000 are needed" in refused(str(path))
    path.write_text("a" * 5000)
    assert "holds one character alone" in refused(str(path))
    path.write_bytes(bytes(range(128, 256)) * 50)
    assert "is no text: neither UTF-8 nor UTF-16 nor Windows" in refused(str(path))


def test_a_race_on_your_data_goes_on_and_notices_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DESCEND_DATA", str(tmp_path / "data"))
    path = table(tmp_path / "t.csv")
    words = [str(path), "--target", "kind", *SMALL, "--seconds", "0.9", "-o", str(tmp_path)]
    CliRunner().invoke(race, words)
    from descend.lab.store import Store

    (kept,) = Store.open().races()
    table(path, rows=299)
    assert "was begun under other conditions (data " in refused("--resume", kept.id)
    table(path)
    done = raced("--resume", kept.id, out=tmp_path)
    assert done.exit_code == 0, done.output
    assert "Use " in done.output


# what newcomers bring


def columns(path: Path, text: str, target: str) -> Table:
    path.write_text(text)
    return Table({"path": str(path), "target": target})


def test_european_numbers_dates_and_gaps(tmp_path: Path):
    lines = ["Datum;Preis;Menge;Wert"]
    for k in range(40):
        amount = "NA" if k % 9 == 0 else f"{k},5"
        lines.append(f"{1 + k % 28:02d}.{1 + k % 12:02d}.2024;1.{200 + k},25;{amount};{3 * k},75")
    made = columns(tmp_path / "verkauf.csv", "\r\n".join(lines), "Preis")
    assert made.dates == ["Datum"]
    assert made.left_out == []
    assert made.classes == 0, "1.200,25 is a number"
    assert made.x.shape == (40, 5 + 1 + 1), "the day, where in the year and in the week; two numbers"
    assert made.x[0, 5] == 0, "NA is a gap"
    assert np.isfinite(made.x).all()


@pytest.mark.parametrize(
    ("values", "comma", "found"),
    [
        (["1,5", "-2", "", "1.234,5"], True, [1.5, -2, math.nan, 1234.5]),
        (["1,234", "5", "1,234,567.5"], False, [1234, 5, 1234567.5]),
        (["$3", "4 €", "5%", "N/A"], False, [3, 4, 5, math.nan]),
        (["1e-3", "nan", "inf"], False, [1e-3, math.nan, math.inf]),
        (["1,5"], False, None),
        (["1_000"], False, None),
        (["a", "2"], False, None),
    ],
)
def test_numbers_as_people_write_them(values: list[str], comma: bool, found: list[float] | None):
    got = numbers(values, comma)
    assert (got is None) == (found is None)
    if found is not None:
        np.testing.assert_array_equal(got, found)


@pytest.mark.parametrize(
    "values",
    [
        ["2024-01-31", "2024-02-01"],
        ["31.01.2024", "01.02.2024"],
        ["01/31/2024", "02/01/2024"],
        ["31/01/2024 00:00", "01/02/2024 00:00"],
        ["2024-01-31T02:00:00+02:00", "2024-02-01T00:00:00Z"],
    ],
)
def test_dates_are_a_day_apart(values: list[str]):
    found = days([*values, ""])
    assert found is not None
    assert found[1] - found[0] == 1
    assert math.isnan(found[2])
    assert days(["yes", "no"]) is None


def test_a_target_of_two_words_and_a_row_without_it(tmp_path: Path):
    text = (
        "x,y,churn\n" + "".join(f"{k},{k * k % 7},{'yes' if k % 3 else 'no'}\n" for k in range(60)) + "1,2,\n3,4,NA\n"
    )
    made = columns(tmp_path / "t.csv", text, "churn")
    assert (made.classes, len(made.y)) == (2, 60)
    words = columns(tmp_path / "t.csv", text.replace("no\n", "none\n"), "churn")
    assert (words.classes, len(words.y)) == (2, 60), "none is a word here"


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp1252"])
def test_files_of_any_coding_are_the_same_text(tmp_path: Path, code: str):
    text = "Grüße aus Köln, schöne Straße; " * 100
    assert decoded(text.encode(code)) == text
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode(code))
    assert tried(source_at(path).problem(), 10) > 0


def test_what_is_no_text_is_none():
    assert decoded(bytes(range(256)) * 20) is None
    assert decoded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 300) is None


def test_images_are_read_whatever_their_names_end_in(tmp_path: Path):
    folder = images(tmp_path / "photos")
    for k, file in enumerate(sorted(folder.glob("*/*.png"))):
        file.rename(file.with_suffix((".jpg", ".dat", "")[k % 3]))
    (folder / "dark" / "notes.txt").write_text("taken at night")
    (folder / "dark" / ".DS_Store").write_bytes(b"x")
    made = Folder(folder)
    assert len(made.y) == 40
    assert made.unreadable == []
    deeper = tmp_path / "set"
    deeper.mkdir()
    folder.rename(deeper / "train")
    (deeper / "train" / "dark" / "one.png").write_bytes(b"x")
    assert f"they lie deeper: race on {deeper / 'train'}" in refused(str(deeper))
