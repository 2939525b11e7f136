"""Sets from beginning to end: collected, gone on with, dropped from, checked, packed, and interrupted in every way."""

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from data_served import animated, encoded, folder_of, jpeg, scene, serving, status
from PIL import Image

from descend.lab.data.check import check
from descend.lab.data.cli import data
from descend.lab.data.collect import Collected, SourceError, collect
from descend.lab.data.decoders import Decoders
from descend.lab.data.drop import drop
from descend.lab.data.manifest import SetError, read
from descend.lab.data.picture import Looked, Settings
from descend.lab.data.shards import pack
from descend.lab.tasks.yours.pictures import Folder

MANY = {"dog": [jpeg(k) for k in range(15)], "wolf": [jpeg(100 + k) for k in range(15)]}


def call(*words: object) -> Result:
    return CliRunner().invoke(data, [*map(str, words)])


def made(place: Path, classes: dict[str, list[bytes]] = MANY, **how: object) -> Collected:
    """A set of a folder. Pictures are looked at in this process: starting others takes longer than these small ones."""
    source = folder_of(place / "photos", classes)
    return collect([source], place / "set", processes=0, **how)  # type: ignore[arg-type]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a set that is not its memory."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".descend" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def same_set(one: Path, other: Path) -> bool:
    """The same pictures and tables; the page knows the folder it is of."""
    a, b = tree(one), tree(other)
    return {k: v for k, v in a.items() if k != "contact.html"} == {k: v for k, v in b.items() if k != "contact.html"}


def wrong(folder: Path) -> set[str]:
    return {one.name for one in check(folder, processes=0) if one.wrong}


def test_a_folder_becomes_a_set_that_passes_its_check_and_is_raced_on(tmp_path: Path):
    found = made(tmp_path, per_class=12, shares=(50, 25, 25), licence="CC0")
    assert found.counts() == {
        label: {"pictures": 12, "missing": 0, "train": 6, "val": 3, "test": 3} for label in ("dog", "wolf")
    }
    rows = read(tmp_path / "set")
    assert {row.licence for row in rows} == {"CC0"}
    assert [row.source for row in rows[:12]] == [f"photos/dog/{k:04}.jpg" for k in range(12)]
    assert wrong(tmp_path / "set") == set()
    assert len([p for p in tree(tmp_path / "set") if p.endswith(".jpg")]) == 24
    by_file = {row.file: row for row in rows}
    for path in (tmp_path / "set" / "val").glob("*/*.jpg"):
        assert by_file[path.relative_to(tmp_path / "set").as_posix()].split == "val"


def test_a_race_keeps_to_the_split_of_a_set(tmp_path: Path):
    made(tmp_path, shares=(60, 20, 20))
    folder = Folder(tmp_path / "set")
    assert [len(folder.train), len(folder.held)] == [18, 6], "the test set is not looked at"
    before = folder.hash.hexdigest()
    moved = next((tmp_path / "set" / "val" / "dog").iterdir())
    moved.rename(tmp_path / "set" / "train" / "dog" / moved.name)
    folder = Folder(tmp_path / "set")
    assert [len(folder.train), len(folder.held)] == [19, 5]
    assert folder.hash.hexdigest() != before


def test_the_same_call_gives_the_same_bytes_and_another_seed_another_split(tmp_path: Path):
    for name in "ab":
        collect([folder_of(tmp_path / "photos", MANY)], tmp_path / name, processes=0)
    assert same_set(tmp_path / "a", tmp_path / "b")
    collect([tmp_path / "photos"], tmp_path / "c", processes=0, seed=1)
    sides = [{row.source: row.split for row in read(tmp_path / name)} for name in "ac"]
    assert sides[0].keys() == sides[1].keys()
    assert sides[0] != sides[1]


def test_each_candidate_that_is_left_out_has_its_reason(tmp_path: Path):
    classes = {
        "dog": [jpeg(0), jpeg(1), jpeg(0), jpeg(1, quality=30), jpeg(50), b"no picture", jpeg(2, (20, 20)), animated()],
        "wolf": [jpeg(10), jpeg(11), encoded(scene(50), "JPEG", quality=40), encoded(scene(12), "PNG")],
    }
    found = made(tmp_path, classes)
    with (tmp_path / "set" / "rejected.csv").open(newline="") as file:
        reasons = {
            Path(r["source"]).parent.name + Path(r["source"]).stem[-1]: r["reason"] for r in csv.DictReader(file)
        }
    assert reasons == {
        "dog2": "duplicate", "dog3": "near duplicate", "dog4": "label conflict", "dog5": "corrupt", "dog6": "tiny",
        "dog7": "mislabelled", "wolf2": "label conflict", "wolf3": "mislabelled",
    }  # fmt: skip
    assert found.conflicts == 1
    assert {row.source[-8:] for row in found.rows} == {"0000.jpg", "0001.jpg"}


def test_what_is_missing_is_said_and_more_sources_fill_it_up(tmp_path: Path):
    folder_of(tmp_path / "photos", {"dog": MANY["dog"][:5], "wolf": MANY["wolf"][:9]})
    words = ["collect", tmp_path / "photos", "--out", tmp_path / "set", "--per-class", 8, "--processes", 0]
    done = call(*words)
    assert done.exit_code == 1
    assert "missing: 3 of dog; collect again with more sources" in done.output
    folder_of(tmp_path / "more", {"dog": [jpeg(0), *(jpeg(200 + k) for k in range(9))]})
    done = call("collect", tmp_path / "more", "--out", tmp_path / "set", "--json", "--processes", 0)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["missing"] == 0
    assert told["classes"]["dog"]["pictures"] == 8
    dogs = [row.source for row in read(tmp_path / "set") if row.label == "dog"]
    assert dogs == [f"photos/dog/{k:04}.jpg" for k in range(5)] + [f"more/dog/{k:04}.jpg" for k in (1, 2, 3)]
    assert told["looked_at"] <= 10, "nothing is looked at twice"
    (tmp_path / "photos").rename(tmp_path / "elsewhere")  # what has been taken stays
    done = call("collect", "--out", tmp_path / "set", "--processes", 0, "--quiet")
    assert (done.exit_code, done.output) == (0, "")
    assert [row.source for row in read(tmp_path / "set") if row.label == "dog"] == dogs


def test_no_more_is_looked_at_than_is_needed(tmp_path: Path):
    with serving() as server:
        lines = [server.picture(f"/{label}/{k}.jpg", jpeg(k + 500 * (label == "wolf"))) + f",{label}"
                 for label in ("dog", "wolf") for k in range(60)]  # fmt: skip
        (tmp_path / "list.csv").write_text("\n".join(lines))
        found = collect([tmp_path / "list.csv"], tmp_path / "set", per_class=5, processes=0, web={"rate": 1e4})
        assert found.missing == 0
        assert server.hits.total() - 1 == 2 * (5 + 8)
        assert {row.source.split("/")[-1] for row in found.rows} == {f"{k}.jpg" for k in range(5)}


def test_dropped_pictures_stay_away_with_their_copies(tmp_path: Path):
    classes = {"dog": [*MANY["dog"], jpeg(3, quality=40)], "wolf": MANY["wolf"]}
    made(tmp_path, classes, per_class=10)
    out = tmp_path / "set"
    rows = read(out)
    third = next(row for row in rows if row.source.endswith("dog/0003.jpg"))
    (tmp_path / "marks.txt").write_text(f"# a remark\n\n{third.file}\n")
    assert call("drop", out, tmp_path / "marks.txt", "no/such.jpg").exit_code == 2
    assert len(read(out)) == 20, "a wrong name, and nothing is touched"
    done = call("drop", out, tmp_path / "marks.txt", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["dropped"], told["missing"]) == (1, 1)
    assert not (out / third.file).exists()
    assert third.file not in (out / "contact.html").read_text(encoding="utf-8")
    assert json.loads(call("drop", out, tmp_path / "marks.txt", "--json").stdout)["gone_before"] == 1
    assert wrong(out) == {"enough"}
    assert {row.split for row in rows} == {row.split for row in read(out)}
    assert call("collect", "--out", out, "--processes", 0).exit_code == 0
    dogs = {Path(row.source).stem for row in read(out) if row.label == "dog"}
    assert dogs == {f"{k:04}" for k in range(11) if k != 3}
    assert drop(out, [str(out / read(out)[0].file)])[1] == 1, "a path that leads there is a name, too"


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "train/dog/../../../x.jpg"])
def test_a_manifest_can_have_nothing_removed_outside_its_set(tmp_path: Path, name: str):
    made(tmp_path)
    out = tmp_path / "set"
    text = (out / "manifest.csv").read_text()
    (out / "manifest.csv").write_text(text.replace(read(out)[0].file, name, 1))
    with pytest.raises(SetError, match="is no picture of this set"):
        drop(out, [name])
    assert call("check", out, "--processes", 0).exit_code == 2


def test_the_check_sees_what_is_wrong(tmp_path: Path):
    made(tmp_path, shares=(50, 25, 25))
    out = tmp_path / "set"
    rows = read(out)
    by = {
        split: [row for row in rows if row.split == split and row.label == "dog"] for split in ("train", "val", "test")
    }
    (out / "train/dog/new.jpg").write_bytes((out / by["val"][0].file).read_bytes())  # a leak, and in no manifest
    (out / "train/wolf/new.jpg").write_bytes(encoded(Image.open(out / by["train"][0].file), "JPEG", quality=50))
    exif = Image.Exif()
    exif[0x010F] = "camera"
    (out / by["train"][1].file).unlink()
    (out / by["train"][1].file).write_bytes(encoded(scene(400), "JPEG", exif=exif))
    (out / by["train"][2].file).unlink()
    (out / by["test"][0].file).unlink()
    (out / by["test"][0].file).write_bytes(b"damaged")
    assert wrong(out) == {"complete", "named", "unchanged", "silent", "readable", "labels", "once", "apart"}
    done = call("check", out, "--json", "--processes", 0)
    assert done.exit_code == 1
    about = {one["check"]: one["about"] for one in json.loads(done.stdout)["checks"]}
    assert about["complete"] == [by["train"][2].file]
    assert about["apart"] == [f"train/dog/new.jpg = {by['val'][0].file}"]
    assert "✗ readable" in call("check", out, "--processes", 0).output


def test_a_folder_that_was_made_otherwise_is_checked_too(tmp_path: Path):
    plain = folder_of(tmp_path / "plain", {"dog": [jpeg(1), jpeg(2)], "wolf": [jpeg(3), jpeg(2)]})
    assert wrong(plain) == {"labels"}
    split = folder_of(tmp_path / "split" / "train", {"dog": [jpeg(k) for k in range(9)], "wolf": [jpeg(20)]})
    folder_of(tmp_path / "split" / "test", {"dog": [jpeg(5)]})
    assert wrong(split.parent) == {"once", "apart", "shares"}
    with pytest.raises(SetError, match="no picture in a folder of its own class"):
        check(tmp_path / "plain" / "dog", processes=0)


def test_shards_go_out_and_come_back(tmp_path: Path):
    made(tmp_path, licence="CC0")
    out = tmp_path / "set"
    files = pack(out, tmp_path / "shards", per_shard=10)
    assert [file.name for file in files] == [
        "train-000000.tar", "train-000001.tar", "train-000002.tar", "val-000000.tar", "test-000000.tar"
    ]  # fmt: skip
    with tarfile.open(files[0]) as shard:
        names = shard.getnames()
        assert [name.partition(".")[2] for name in names] == ["cls", "jpg", "json"] * 10
        told = json.load(shard.extractfile(names[2]))  # type: ignore[arg-type]
        assert shard.extractfile(names[0]).read() == str(["dog", "wolf"].index(told["class"])).encode()  # type: ignore[union-attr]
    again = pack(out, tmp_path / "again", per_shard=10)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]
    assert call("pack", out, "--out", tmp_path / "again").exit_code == 2, "shards are there already"
    found = collect(files, tmp_path / "back", processes=0)
    wanted = {(row.source, row.label, row.licence) for row in read(out)}
    assert {(row.source, row.label, row.licence) for row in found.rows} == wanted


def test_lists_are_read_in_every_form(tmp_path: Path):
    import pyarrow as pa
    from pyarrow import parquet

    with serving() as server:
        urls = [server.picture(f"/{k}.jpg", jpeg(k)) for k in range(10)]
        (tmp_path / "a.csv").write_text(f"id;License;URL;Label\n1;CC0;{urls[0]};Dog\n\n2;;{urls[1]}; wolf \n3;;;cat\n")
        (tmp_path / "b.tsv").write_text(f"url\tclass\n{urls[2]}\tdog\n", encoding="utf-8-sig")
        (tmp_path / "wolf.txt").write_text(f"# mine\n{urls[3]}\n\n{urls[4]} dog\n{urls[4]}\tdog\n")
        (tmp_path / "c.csv").write_text(f"{urls[5]},1\n{urls[6]},dog\n")
        table = pa.table(
            {"image_url": [*urls[7:9], None], "class": ["dog", "wolf", "dog"], "license": ["x", None, "y"]}
        )
        parquet.write_table(table, tmp_path / "d.parquet")
        names = ["a.csv", "b.tsv", "wolf.txt", "c.csv", "d.parquet"]
        found = collect(
            [tmp_path / name for name in names], tmp_path / "set", classes=["dog", "wolf"], licence="?", processes=0,
            web={"rate": 1e4},
        )  # fmt: skip
    labels = {urls.index(row.source): (row.label, row.licence) for row in found.rows}
    assert labels == {
        0: ("dog", "CC0"), 1: ("wolf", "?"), 2: ("dog", "?"), 3: ("wolf", "?"), 4: ("dog", "?"), 5: ("wolf", "?"),
        6: ("dog", "?"), 7: ("dog", "x"), 8: ("wolf", "?"),
    }  # fmt: skip
    assert found.others == 1
    assert found.reasons() == {"refused": 1}, "the row without an address"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"name,size\nx,1\n", "no column 'url' or 'image_url'; columns: name, size"),
        ("a.csv", b"", "columns: none"),
        ("a.csv", b'url,class\n"' + b"x" * 200_000, "a.csv, line"),
        ("a.parquet", b"PAR1 not at all", "no readable Parquet file"),
        ("a.tar", b"nothing", "no readable archive"),
        ("a.pdf", b"", "neither a folder nor a file of a known kind"),
        ("a.csv", b"url,class\nhttp://x/1.jpg,a/b\n", "'a/b' cannot name a class"),
        ("a.csv", b"url,class\nhttp://x/1.jpg,dog\n", "at least two classes are needed, and there is only dog"),
    ],
)
def test_bad_sources_are_refused_by_name(tmp_path: Path, name: str, content: bytes, says: str):
    (tmp_path / name).write_bytes(content)
    done = call("collect", tmp_path / name, "--out", tmp_path / "set")
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing", "--out", "set"], "there is no nothing"),
        (["--out", "set"], "name a list, a folder or an archive"),
        (["photos", "--out", "photos"], "was not made by descend data collect"),
        (["photos", "--out", "set", "--classes", "dog,../x"], "'../x' cannot name a class"),
        (["photos", "--out", "set", "--classes", "dog,Dog"], "differ only in case"),
        (["photos", "--out", "set", "--split", "80,20"], "three shares"),
        (["photos", "--out", "set", "--split", "0,50,50"], "three shares"),
        (["photos", "--out", "set", "--json", "--quiet"], "exclude each other"),
    ],
)
def test_bad_usage_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "photos", {"dog": [jpeg(1)], "wolf": [jpeg(2)]})
    done = call("collect", *words)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())
    assert not (tmp_path / "set" / "manifest.csv").exists()


def test_a_set_is_not_gone_on_with_in_another_size(tmp_path: Path):
    made(tmp_path, picture=Settings(side=100))
    with pytest.raises(SourceError, match="begun with side 100, now 200"):
        collect([], tmp_path / "set", picture=Settings(side=200), processes=0)
    assert not collect([], tmp_path / "set", processes=0).looked


def test_two_calls_at_once_are_refused(tmp_path: Path):
    made(tmp_path)
    from descend.lab.data.journal import Journal

    with Journal(tmp_path / "set" / ".descend" / "journal.jsonl"), pytest.raises(SourceError, match="another call"):
        collect([], tmp_path / "set", processes=0)


def test_links_in_a_folder_are_not_followed(tmp_path: Path):
    photos = folder_of(tmp_path / "photos", MANY)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "1.jpg").write_bytes(jpeg(300))
    (photos / "dog" / "link.jpg").symlink_to(tmp_path / "secret" / "1.jpg")
    (photos / "cat").symlink_to(tmp_path / "secret")
    (photos / "dog" / ".hidden.jpg").write_bytes(jpeg(301))
    os.mkfifo(photos / "dog" / "pipe.jpg")
    found = collect([photos], tmp_path / "set", processes=0)
    assert found.classes == ["dog", "wolf"]
    assert found.reasons() == {"refused": 2}
    assert len(found.rows) == 30


def test_a_damaged_journal_costs_only_what_is_damaged(tmp_path: Path):
    first = made(tmp_path)
    journal = tmp_path / "set" / ".descend" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = b"garbage\n"
    journal.write_bytes(b"".join(lines)[:-40])
    before = tree(tmp_path / "set")
    found = collect([], tmp_path / "set", processes=0)
    assert found.looked == 2
    assert collect([], tmp_path / "set", processes=0).looked == 0, "nothing was written behind half a line"
    assert found.rows == first.rows
    assert tree(tmp_path / "set") == before


class Calls:
    """`descend data collect` in a process of its own, against a server that holds pictures back."""

    def __init__(self, place: Path, server) -> None:
        self.place, self.server = place, server
        lines = []
        for k in range(40):
            label, body = ("dog", "wolf")[k % 2], jpeg(k)
            answer = server.picture(f"/{k}.jpg", body)
            if k >= 25:
                ready = server.answers[f"/{k}.jpg"]
                server.answers[f"/{k}.jpg"] = lambda handler, ready=ready: (server.gate.wait(60), ready(handler))
            lines.append(f"{answer},{label}")
        (place / "list.csv").write_text("\n".join(lines))

    def begin(self, processes: int) -> subprocess.Popen[str]:
        words = ["data", "collect", "list.csv", "--out", "set", "--rate", "10000", "--processes", str(processes)]
        return subprocess.Popen(
            [sys.executable, "-m", "descend", *words], cwd=self.place, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    def finished(self, count: int) -> None:
        """Wait until so many candidates are in the journal."""
        import threading

        path = self.place / "set" / ".descend" / "journal.jsonl"
        pause = threading.Event()
        for _ in range(30_000):
            if path.exists() and path.read_bytes().count(b"\n") >= count:
                return
            pause.wait(0.02)
        raise AssertionError("the work did not get so far")


@pytest.mark.slow
@pytest.mark.parametrize(("how", "processes"), [(signal.SIGKILL, 1), (signal.SIGINT, 0)])
def test_a_call_that_is_killed_goes_on_to_the_same_set(tmp_path: Path, how: signal.Signals, processes: int):
    with serving() as server:
        calls = Calls(tmp_path, server)
        process = calls.begin(processes)
        calls.finished(25)
        process.send_signal(how)
        out, error = process.communicate(timeout=600)
        if how == signal.SIGINT:
            assert process.returncode == 130, error
            assert "stopped; what is finished is kept, and the same command goes on" in out
            assert len(read(tmp_path / "set")) == 25
        before = server.hits.copy()
        server.gate.set()
        process = calls.begin(0)
        out, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
        again = [path for path in server.hits if server.hits[path] > before[path] and path != "/robots.txt"]
        assert len(again) <= 15, "what was fetched is not asked for again"
        whole = collect([tmp_path / "list.csv"], tmp_path / "whole", processes=0, web={"rate": 1e4})
        assert len(whole.rows) == 40
        assert same_set(tmp_path / "set", tmp_path / "whole")


def test_what_was_fetched_and_not_looked_at_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Cut off between the two, as by Ctrl-C; of a file that is not whole any more the address is asked again."""
    with serving() as server:
        lines = [f"{server.picture(f'/{k}.jpg', jpeg(k))},{'ab'[k % 2]}" for k in range(8)]
        (tmp_path / "list.csv").write_text("\n".join(["url,class", *lines]))
        how = {"processes": 0, "web": {"rate": 1e4, "connections": 1}}
        real, seen = Decoders.examine, 0

        async def examine(self: Decoders, file: Path, claim: str) -> Looked:
            nonlocal seen
            seen += 1
            if seen > 3:
                mine, home = seen, tmp_path / "set" / ".descend"
                while mine == 8 and (home / "journal.jsonl").read_bytes().count(b"\n") < 3:
                    await asyncio.sleep(0.01)  # until three are finished; the others have been fetched, too
                if mine == 8:
                    signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(60)  # which ends with the task
            return await real(self, file, claim)

        monkeypatch.setattr(Decoders, "examine", examine)
        first = collect([tmp_path / "list.csv"], tmp_path / "set", **how)
        assert first.partial
        before = server.hits.copy()
        assert [before[f"/{k}.jpg"] for k in range(8)] == [1] * 8
        monkeypatch.setattr(Decoders, "examine", real)
        raw = sorted((tmp_path / "set").rglob("raw/*.type"))
        assert len(raw) == 5
        cut = raw[0].with_suffix("")
        cut.write_bytes(cut.read_bytes()[:-9])
        made = collect([], tmp_path / "set", **how)
        assert len(made.rows) == 8
        again = [k for k in range(8) if server.hits[f"/{k}.jpg"] > 1]
        assert len(again) == 1
        assert not list((tmp_path / "set").rglob("raw/*"))


@pytest.mark.slow
def test_a_picture_that_ends_its_decoder_costs_that_picture_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The decoder is made to crash by a picture of a certain size: a module of its own stands in for examine."""
    (tmp_path / "crashing.py").write_text(
        "import os\nfrom descend.lab.data import picture\n"
        "def examine(file, *rest):\n"
        "    if open(file, 'rb').read().endswith(b'CRASH'): os._exit(9)\n"
        "    return picture.examine(file, *rest)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import crashing  # type: ignore[import-not-found]

    monkeypatch.setattr("descend.lab.data.decoders.examine", crashing.examine)
    classes = {"dog": [*MANY["dog"][:6], jpeg(50) + b"CRASH"], "wolf": MANY["wolf"][:6]}
    found = collect([folder_of(tmp_path / "photos", classes)], tmp_path / "set", processes=2)
    assert found.reasons() == {"corrupt": 1}
    assert found.rejected[0].detail == "it ended the process that decoded it"
    assert len(found.rows) == 12


def test_a_server_that_is_gone_at_the_second_call_changes_nothing(tmp_path: Path):
    with serving() as server:
        lines = [server.picture(f"/{k}.jpg", jpeg(k)) + f",{'dog' if k % 2 else 'wolf'}" for k in range(10)]
        lines.append(server.answer("/gone.jpg", status(410)) + ",dog")
        (tmp_path / "list.csv").write_text("\n".join(lines))
        collect([tmp_path / "list.csv"], tmp_path / "set", processes=0, web={"rate": 1e4})
    before = tree(tmp_path / "set")
    assert collect([tmp_path / "list.csv"], tmp_path / "set", processes=0).looked == 0
    assert tree(tmp_path / "set") == before
