"""Which pictures are the same, which are kept, and which side of the split they are on."""

import random
from collections import Counter

import numpy as np
import pytest
from data_served import encoded, jpeg, scene
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from descend.lab.data.alike import ALIKE, SAME, groups, pairs
from descend.lab.data.choose import choose
from descend.lab.data.journal import Entry
from descend.lab.data.picture import Looked, Settings, decoded, perceptual
from descend.lab.data.split import SPLITS, quotas, split

FAR = "0" * 16


def entry(label: str, phash: int, name: str = "", sha: str = "", mirrored: int | None = None) -> Entry:
    source = name or f"{label}-{phash:x}-{sha}"
    turned = phash ^ 0xFFFFFFFF00000000 if mirrored is None else mirrored
    looked = Looked(sha256=sha or source, phash=f"{phash:016x}", mirrored=f"{turned:016x}")
    return Entry(source, label, source, source, "", looked)


def test_pairs_are_those_of_a_plain_count_of_bits():
    draw = random.Random(3)
    bases = [draw.getrandbits(64) for _ in range(40)]
    hashes = [base ^ sum(1 << k for k in draw.sample(range(64), draw.randrange(16))) for base in bases for _ in "123"]
    turned = [draw.getrandbits(64) for _ in hashes]
    turned[5] = hashes[100] ^ 1
    found = list(pairs([f"{h:016x}" for h in hashes], [f"{h:016x}" for h in turned]))
    wanted = []
    for i, a in enumerate(hashes):
        for j in range(i + 1, len(hashes)):
            bits = min((a ^ hashes[j]).bit_count(), (turned[i] ^ hashes[j]).bit_count())
            if bits <= ALIKE:
                wanted.append((i, j, bits))
    assert found == wanted
    assert (5, 100, 1) in found
    assert len(found) > 50
    assert list(pairs([], [])) == []


def test_pairs_do_not_depend_on_how_many_are_compared_at_once(monkeypatch: pytest.MonkeyPatch):
    draw = random.Random(4)
    hashes = [f"{draw.getrandbits(6):016x}" for _ in range(50)]
    mirrored = [f"{draw.getrandbits(64):016x}" for _ in range(50)]
    whole = list(pairs(hashes, mirrored))
    monkeypatch.setattr("descend.lab.data.alike.BLOCK", 120)
    assert list(pairs(hashes, mirrored)) == whole


def test_groups_are_chains():
    assert groups(6, [(4, 1), (1, 5), (0, 3)]) == [[0, 3], [1, 4, 5], [2]]


@pytest.mark.parametrize(
    ("change", "most"),
    [
        (lambda p: p, 0),
        (lambda p: p.resize((48, 40), Image.Resampling.LANCZOS), SAME),
        (lambda p: p.resize((300, 250), Image.Resampling.BICUBIC), SAME),
        (lambda p: ImageOps.mirror(p), SAME),
        (lambda p: ImageEnhance.Brightness(p).enhance(1.2), SAME),
        (lambda p: p.convert("L").convert("RGB"), SAME),
        (lambda p: Image.open(__import__("io").BytesIO(encoded(p, "JPEG", quality=15))), SAME),
        (lambda p: p.crop((2, 2, 94, 78)), ALIKE + 6),
    ],
)
def test_a_changed_picture_is_still_the_same(change, most: int):
    distances = []
    for seed in range(12):
        one, other = scene(seed), change(scene(seed))
        distances += [bits for _, _, bits in pairs(*zip(perceptual(one), perceptual(other), strict=True), most=64)]
    assert np.median(distances) <= most


def test_different_pictures_are_far_apart():
    hashes = [perceptual(scene(seed)) for seed in range(60)]
    assert min(bits for _, _, bits in pairs(*zip(*hashes, strict=True), most=64)) > ALIKE


def test_copies_go_and_the_first_stays():
    entries = [
        entry("dog", 0, "a"),
        entry("dog", 0, "b", sha="a"),
        entry("dog", 0b111, "c"),
        entry("dog", 0xFF00FF00FF00, "d"),
        entry("dog", 0xFFFFFFFF00000000, "e"),
    ]
    made = choose(entries)
    assert made.kept == [0, 3]
    assert made.left[1] == ("duplicate", "of a")
    assert made.left[2] == ("near duplicate", "of a (3 of 64 bits differ)")
    assert made.left[4] == ("near duplicate", "of a (0 of 64 bits differ)"), "mirrored"


def test_a_picture_under_two_labels_is_under_neither():
    made = choose([entry("dog", 0, "a"), entry("wolf", 1, "b"), entry("wolf", 0xFF00FF00FF00, "c")])
    assert made.kept == [2]
    assert made.left == {0: ("label conflict", "also wolf: b"), 1: ("label conflict", "also dog: a")}
    assert made.conflicts == [(0, 1)]


def test_those_that_were_dropped_stay_away_and_so_do_their_copies_of_the_same_class():
    gone = entry("dog", 0, "a")
    made = choose([gone, entry("dog", 1, "b"), entry("wolf", 3, "c")], dropped=[gone])
    assert made.kept == [2], "dropped from dog because it is a wolf"
    assert made.left == {0: ("dropped", "by hand"), 1: ("dropped", "like a, dropped by hand")}


def test_no_more_are_kept_than_were_asked_for():
    draw = random.Random(5)
    entries = [entry("ab"[k % 2], draw.getrandbits(64), mirrored=draw.getrandbits(64)) for k in range(30)]
    made = choose(entries, per_class=4)
    assert made.kept == list(range(8))
    assert made.spare == list(range(8, 30))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**8 - 1)), max_size=40),
    st.integers(1, 20),
)
def test_kept_pictures_are_no_copies_of_each_other(drawn: list[tuple[str, int]], per_class: int):
    spread = 0x0101010101010101  # 8 bits for each of the 8: distances in steps of 8 … and of 1 for the last
    entries = [entry(label, (x * spread) ^ (k & 3), f"{k}", mirrored=2**63) for k, (label, x) in enumerate(drawn)]
    made = choose(entries, per_class)
    kept = [entries[k] for k in made.kept]
    for i, j, bits in pairs([e.looked.phash for e in kept], [e.looked.mirrored for e in kept]):
        assert bits > SAME, (kept[i], kept[j])
    assert max(Counter(e.label for e in kept).values(), default=0) <= per_class
    assert sorted([*made.kept, *made.spare, *made.left]) == list(range(len(entries)))


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), min_size=1, max_size=60),
    st.integers(0, 2**32),
    st.sampled_from([(80, 10, 10), (60, 20, 20), (70, 30, 0), (1, 1, 1)]),
)
def test_groups_are_never_divided_and_classes_have_their_shares(drawn, seed: int, shares):
    labels = [label for group in drawn for label in group]
    numbers = iter(range(len(labels)))
    together = [[next(numbers) for _ in group] for group in drawn]
    side = split(together, labels, shares, seed)
    assert side == split(together, labels, shares, seed)
    for group in together:
        assert len({side[k] for k in group}) == 1
    largest = max(map(len, together))
    for label, count in Counter(labels).items():
        wanted = quotas(count, shares)
        for place, n in zip(SPLITS, wanted, strict=True):
            got = sum(1 for k, own in enumerate(labels) if own == label and side[k] == place)
            assert largest > 1 or got == n, "single pictures fill each share exactly"
    if shares[2] == 0 and largest == 1:
        assert "test" not in side


@given(st.integers(0, 5000), st.sampled_from([(80, 10, 10), (98, 1, 1), (70, 30, 0)]))
def test_quotas_sum_up_and_leave_no_side_empty(count: int, shares):
    found = quotas(count, shares)
    assert sum(found) == count
    assert all(n >= 0 for n in found)
    if count >= 3:
        assert all(bool(n) == bool(share) for n, share in zip(found, shares, strict=True))
    if count > 200:
        assert all(abs(n - share * count / sum(shares)) < 2 for n, share in zip(found, shares, strict=True))


def test_a_large_group_goes_where_it_fits_and_single_pictures_fill_up():
    together = [list(range(11)), *([k] for k in range(11, 100))]
    for seed in range(60):
        counts = Counter(split(together, "a" * 100, (80, 10, 10), seed))
        assert counts == {"train": 80, "val": 10, "test": 10}


def test_the_split_changes_with_the_seed():
    together = [[k] for k in range(50)]
    assert split(together, "a" * 50, seed=1) != split(together, "a" * 50, seed=2)


def test_no_two_of_a_burst_are_on_two_sides_of_real_pictures():
    """Small shifts of one scene: too different to be copies, too alike to be divided."""
    big = [scene(seed, (400, 400)) for seed in range(8)]
    shots = [big[k].crop((d, d // 2, d + 300, d // 2 + 300)) for k in range(8) for d in range(0, 100, 8)]
    entries = []
    for k, shot in enumerate(shots):
        plain, turned = perceptual(decoded(encoded(shot, "JPEG"), "JPEG", Settings()))
        entries.append(Entry(str(k), "a", str(k), str(k), "", Looked(sha256=str(k), phash=plain, mirrored=turned)))
    made = choose(entries)
    kept = [entries[k] for k in made.kept]
    side = split(made.together, ["a"] * len(kept), seed=0)
    near = list(pairs([e.looked.phash for e in kept], [e.looked.mirrored for e in kept]))
    assert near, "there must be some that are alike, or nothing is tested"
    assert all(side[i] == side[j] for i, j, _ in near)


def test_jpeg_of_the_tests_is_what_it_says():
    assert jpeg(1) == jpeg(1)
    assert jpeg(1) != jpeg(2)
