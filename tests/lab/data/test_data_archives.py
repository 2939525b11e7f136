"""Archives, hostile, damaged or plain: no path leads out, nothing grows without bound, each picture has its reason."""

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from data_served import jpeg

from descend.lab.data.picture import Settings
from descend.lab.data.sources import archives
from descend.lab.data.sources.find import Candidate, Classes, SourceError, find

SMALL = Settings(largest=2**20)
EVIL = ("../evil.jpg", "dog/../../evil.jpg", "/evil.jpg", "C:/evil.jpg", "..\\evil.jpg", "dog/\x1b[31m.jpg")


def taken(path: Path, classes: str = "dog,wolf", to: Path | None = None) -> list[Candidate]:
    return find([path], Classes(classes.split(",")), "free", SMALL, to or path.parent / "raw")[0]


def zipped(path: Path, members: dict[str, bytes], **how: int) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:  # type: ignore[arg-type]
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


PLAIN = {
    "set/dog/1.jpg": jpeg(1),
    "set/dog/2.jpg": jpeg(2),
    "wolf/deep/3.jpg": jpeg(3),
    "cat/4.jpg": jpeg(4),
    "dog/x.txt": b"",
}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_pictures_of_an_archive_have_the_class_of_the_nearest_folder(tmp_path: Path, name: str):
    path = tmp_path / name
    mode = {"gz": "w:gz", "gz2": "w:gz", "bz2": "w:bz2", "xz": "w:xz", "tgz": "w:gz"}.get(name.split(".")[-1], "w")
    made = zipped(path, PLAIN) if name.endswith("zip") else tarred(path, PLAIN, mode)
    found = taken(made)
    assert [(one.label, Path(one.file).read_bytes()) for one in found] == [
        ("dog", jpeg(1)),
        ("dog", jpeg(2)),
        ("wolf", jpeg(3)),
    ]
    assert found[0].source == f"{name}!set/dog/1.jpg"
    assert all(one.licence == "free" and one.claim == "JPEG" for one in found)


def test_an_archive_can_be_named_after_its_class(tmp_path: Path):
    assert [one.label for one in taken(zipped(tmp_path / "Wolf.zip", {"1.jpg": jpeg(1)}))] == ["wolf"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_name_leads_out_of_the_archive(tmp_path: Path, kind: str):
    members = {name: jpeg(k) for k, name in enumerate(EVIL)} | {"dog/fine.jpg": jpeg(99)}
    inside = tmp_path / "inside"
    inside.mkdir()
    path = (zipped if kind == "zip" else tarred)(inside / f"dog.{kind}", members)
    to = inside / "raw"
    found = {one.source.partition("!")[2]: one for one in taken(path, to=to)}
    assert found["dog/fine.jpg"].unfit is None
    for name in EVIL[:-1]:
        told = name.replace("\\", "/") if kind == "zip" and os.sep != "\\" else name
        assert (found.get(name) or found[told]).unfit == ("refused", "a path that leads out of the archive"), name
    assert not any("\x1b" in source for source in found)
    assert {path.parent.parent for path in to.rglob("*") if path.is_file()} == {to}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside"]
    assert not Path("/evil.jpg").exists()


def test_links_and_devices_are_not_followed(tmp_path: Path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg(1))
    with tarfile.open(tmp_path / "dog.tar", "w") as archive:
        for name, kind, target in (
            ("soft.jpg", tarfile.SYMTYPE, str(secret)),
            ("hard.jpg", tarfile.LNKTYPE, "../secret.jpg"),
            ("device.jpg", tarfile.CHRTYPE, ""),
            ("pipe.jpg", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    assert [one.unfit and one.unfit[0] for one in taken(tmp_path / "dog.tar")] == ["refused"] * 4
    with zipfile.ZipFile(tmp_path / "wolf.zip", "w") as archive:
        link = zipfile.ZipInfo("soft.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(secret))
    assert [one.unfit for one in taken(tmp_path / "wolf.zip")] == [("refused", "a link; links are not followed")]


def test_a_member_that_is_too_large_is_not_read(tmp_path: Path):
    members = {"dog/large.jpg": bytes(3 * 2**20), "dog/fine.jpg": jpeg(1)}
    for path in (zipped(tmp_path / "a.zip", members), tarred(tmp_path / "a.tar", members)):
        large, fine = taken(path)
        assert large.unfit == ("too large", "3,145,728 bytes")
        assert not large.file
        assert Path(fine.file).read_bytes() == jpeg(1)


def test_a_zip_that_lies_about_a_size_is_read_no_further_than_allowed(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"dog/lies.jpg": bytes(3 * 2**20)}, compression=zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 1000)  # the size in the directory, which is what is believed
    path.write_bytes(raw)
    (one,) = taken(path)
    assert one.unfit is not None
    assert not one.file or Path(one.file).stat().st_size <= SMALL.largest


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.zip", "bomb.tar.xz"])
def test_a_bomb_is_stopped(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "AT_LEAST", 2**22)
    path = tmp_path / name
    members = {f"dog/{k}.bmp": bytes(2**20) for k in range(12)}  # a thousandth when packed
    if name.endswith("zip"):
        zipped(path, members, compression=zipfile.ZIP_DEFLATED)
    else:
        tarred(path, members, "w:gz" if name.endswith("gz") else "w:xz")
    monkeypatch.setattr(archives, "GROWS", 10)
    found = taken(path)
    assert found[-1].unfit is not None
    assert "the archive holds over 4 MiB" in found[-1].unfit[1]
    written = sum(file.stat().st_size for file in (tmp_path / "raw").rglob("*") if file.is_file())
    assert written <= 2**22


def test_one_huge_member_of_a_packed_tar_is_not_unpacked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "AT_LEAST", 2**20)
    member = tarfile.TarInfo("dog/huge.jpg")
    member.size = 2**40
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(member.tobuf() + bytes(2**23)))
    huge, end = taken(path)
    assert huge.unfit == ("too large", "1,099,511,627,776 bytes")
    assert end.unfit == ("too large", "the archive holds over 1 MiB, 100 times its size; stopped there")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_an_archive_that_breaks_off_gives_what_came_before(tmp_path: Path, name: str):
    members = {f"dog/{k}.jpg": jpeg(k, (300, 300)) for k in range(5)}
    whole = (zipped if name.endswith("zip") else tarred)(
        tmp_path / name, members, **({} if name.endswith("zip") else {"mode": "w:gz" if "gz" in name else "w"})
    )
    raw = whole.read_bytes()
    whole.write_bytes(raw[: len(raw) * 2 // 3])
    if name.endswith("zip"):  # its directory is at the end
        with pytest.raises(SourceError, match="no readable archive"):
            taken(whole)
        return
    found = taken(whole)
    assert found[-1].unfit is not None
    assert found[-1].unfit[0] == "corrupt"
    assert len(found) > 2
    assert Path(found[0].file).read_bytes() == members["dog/0.jpg"]


def test_a_damaged_or_locked_member_costs_that_member_alone(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"dog/1.jpg": jpeg(1), "dog/2.jpg": jpeg(2)})
    raw = bytearray(path.read_bytes())
    raw[60] ^= 255  # in the first picture: its checksum is wrong now
    second = raw.rindex(b"PK\x01\x02")
    raw[second + 8] |= 1  # the second says it is encrypted
    path.write_bytes(raw)
    assert [one.unfit and one.unfit[0] for one in taken(path)] == ["corrupt", "corrupt"]


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive", b"\x1f\x8bno", bytes(1024)])
def test_what_is_no_archive_is_refused_by_name(tmp_path: Path, content: bytes):
    (tmp_path / "a.tar").write_bytes(content)
    if content == bytes(1024):  # a tar of nothing is a tar
        assert taken(tmp_path / "a.tar") == []
        return
    with pytest.raises(SourceError, match=r"a\.tar: no readable archive"):
        taken(tmp_path / "a.tar")


def test_shards_say_the_class_themselves(tmp_path: Path):
    told = {"class": "wolf", "source": "https://example.org/1", "licence": "CC0"}
    members = {
        "x/001.jpg": jpeg(1), "x/001.json": json.dumps(told).encode(),
        "x/002.cls": b"0", "x/002.jpg": jpeg(2),
        "x/003.jpg": jpeg(3), "x/003.cls": b"wolf\n", "x/003.json": b"{not JSON",
        "x/004.jpg": jpeg(4), "x/004.cls": b"7",
        "x/005.json": b"[" * 9999, "x/005.jpg": jpeg(5), "dog/006.jpg": jpeg(6), "x/007.cls": b"7" * 99999,
        "x/008.cls": b"1", "x/008.json": b'{"label": "dog", "license": "CC BY"}', "x/008.jpg": jpeg(8),
    }  # fmt: skip
    found = {one.source.split("/")[-1]: one for one in taken(tarred(tmp_path / "train-000000.tar", members))}
    assert {name: one.label for name, one in found.items()} == {
        "1": "wolf", "002.jpg": "dog", "003.jpg": "wolf", "006.jpg": "dog", "008.jpg": "dog"
    }  # fmt: skip
    assert found["1"].source == "https://example.org/1"
    assert (found["1"].licence, found["008.jpg"].licence) == ("CC0", "CC BY")
    assert found["1"].claim == "JPEG"
