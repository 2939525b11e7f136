"""The directory of compiled kernels: whatever is wrong with a disk, a kernel is right and nothing raises."""

import os
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from cached import NAME, file_of

from descend.engines.llvm import cache

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")


def test_what_is_stored_is_loaded(place):
    assert cache.load(NAME) is None
    assert cache.store(NAME, b"code") == ""
    assert cache.load(NAME) == b"code"
    assert sorted(file.name for file in place.iterdir()) == [f"{NAME}.kernel"]


def test_directory_and_files_are_private(place):
    cache.store(NAME, b"code")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(place).stat().st_mode) == 0o600


def test_directories_above_are_made(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCEND_CACHE", str(tmp_path / "a" / "b" / "c"))
    assert cache.store(NAME, b"code") == ""
    assert cache.load(NAME) == b"code"


@pytest.mark.parametrize("value", ["off", "OFF"])
def test_off_keeps_nothing(place, monkeypatch, value):
    monkeypatch.setenv("DESCEND_CACHE", value)
    assert cache.directory() is None
    assert cache.store(NAME, b"code") == "DESCEND_CACHE is off"
    assert cache.load(NAME) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG convention is Linux's")
def test_the_platform_says_where(monkeypatch, tmp_path):
    monkeypatch.delenv("DESCEND_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "descend"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")  # the convention says: ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.directory() == tmp_path / "home" / ".cache" / "descend"


def test_without_a_home_nothing_is_kept_and_nothing_raises(monkeypatch):
    for name in ("DESCEND_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # a user without an entry in the password file
    assert cache.store(NAME, b"code") == "no home directory; set DESCEND_CACHE to a directory"
    assert cache.load(NAME) is None


def test_a_home_that_is_gone_is_no_error(place, monkeypatch):
    monkeypatch.setenv("DESCEND_CACHE", "/proc/no/such/home")
    assert "/proc/no" in cache.store(NAME, b"code")
    assert cache.load(NAME) is None
    assert cache.entries() == []
    assert cache.clear() == (0, 0)


def test_every_truncation_is_noticed(place):
    cache.store(NAME, bytes(range(50)))
    whole = file_of(place).read_bytes()
    for length in range(len(whole)):
        file_of(place).write_bytes(whole[:length])
        assert cache.load(NAME) is None, length
    file_of(place).write_bytes(whole + b"x")
    assert cache.load(NAME) is None
    assert cache.store(NAME, b"healed") == ""
    assert cache.load(NAME) == b"healed"


def test_every_flipped_bit_is_noticed(place):
    cache.store(NAME, bytes(range(8)))
    whole = file_of(place).read_bytes()
    for bit in range(8 * len(whole)):
        wrong = bytearray(whole)
        wrong[bit // 8] ^= 1 << bit % 8
        file_of(place).write_bytes(wrong)
        assert cache.load(NAME) is None, bit


def test_a_file_under_another_files_name_is_not_loaded(place):
    other = NAME.replace("f", "e")
    cache.store(other, b"another kernel")
    os.rename(file_of(place, other), file_of(place))
    assert cache.load(NAME) is None


def test_a_disk_that_fills_up_leaves_what_was_there(place):
    cache.store(NAME, b"code")
    program = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from descend.engines.llvm import cache
print(cache.store({NAME!r}, b"x" * 100_000))
print(cache.load({NAME!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    reason, loaded = done.stdout.splitlines()
    assert "File too large" in reason
    assert loaded == "b'code'"
    assert [file.name for file in place.iterdir()] == [f"{NAME}.kernel"]


def test_the_least_recently_used_go_when_it_is_too_much(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 5000)
    for age, letter in enumerate("fedcba"):  # f is the newest
        cache.store(f"v-{letter}", b"x" * 1000)
        os.utime(file_of(place, f"v-{letter}"), times=(time.time() - 60 * age,) * 2)
    cache.prune("v")
    assert sorted(file.stem for file in place.iterdir()) == ["v-c", "v-d", "v-e", "v-f"]


def test_a_use_is_noted(place):
    cache.store(NAME, b"code")
    then = time.time()
    os.utime(file_of(place), times=(then - 2 * cache.HOUR,) * 2)
    cache.load(NAME)
    assert file_of(place).stat().st_mtime >= then - 1  # a file system may round


def test_other_versions_and_leftovers_go_in_time(place):
    names = ["old-1", "old-2", "now-1"]
    for name in names:
        cache.store(name, b"code")
    os.utime(file_of(place, "old-1"), times=(time.time() - 2 * cache.STALE,) * 2)
    os.utime(file_of(place, "now-1"), times=(time.time() - 2 * cache.STALE,) * 2)
    for name in ("1-a.part", "2-b.lock", "3-c.part"):
        (place / name).write_bytes(b"")
    for name in ("1-a.part", "2-b.lock"):
        os.utime(place / name, times=(time.time() - 2 * cache.HOUR,) * 2)
    (place / "a file of the user").write_bytes(b"")
    cache.prune("now")
    assert sorted(file.name for file in place.iterdir()) == [
        "3-c.part",
        "a file of the user",
        "now-1.kernel",
        "old-2.kernel",
    ]
    assert cache.clear()[0] == 2
    assert [file.name for file in place.iterdir()] == ["a file of the user"]


def test_the_first_store_of_a_process_prunes(place, monkeypatch):
    cache.store("old-1", b"code")
    os.utime(file_of(place, "old-1"), times=(time.time() - 2 * cache.STALE,) * 2)
    monkeypatch.setattr(cache, "_stored", 0)
    cache.store("now-1", b"code")
    assert [file.stem for file in place.iterdir()] == ["now-1"]


@pytest.fixture
def slept(monkeypatch):
    """The naps of the cache, by a clock that only they move."""
    naps: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(naps), sleep=naps.append, time=time.time)
    monkeypatch.setattr(cache, "time", clock)
    return naps


def test_a_process_that_holds_its_turn_too_long_is_overtaken(place, slept):
    with cache.turn(NAME):
        assert not slept
        with cache.turn(NAME):  # a second open file: as if another process asked
            assert cache.WAIT <= sum(slept) < 1.1 * cache.WAIT
    slept.clear()
    with cache.turn(NAME):
        assert not slept
    assert not list(place.glob("*.lock"))


def test_a_lock_left_by_a_killed_process_holds_up_nobody(place, slept):
    program = f"import os\nfrom descend.engines.llvm import cache\nwith cache.turn({NAME!r}): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    assert list(place.glob("*.lock"))
    with cache.turn(NAME):
        assert not slept
