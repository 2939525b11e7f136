"""The directory of compiled kernels is this user's alone: what another could have written is never loaded."""

import logging
import os
import subprocess
import sys

import pytest
from cached import NAME, file_of

from descend.engines.llvm import cache

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")
NOBODY = 65534


def test_a_symbolic_link_is_not_followed(place, tmp_path):
    cache.store(NAME, b"code")
    os.rename(file_of(place), tmp_path / "elsewhere")
    file_of(place).symlink_to(tmp_path / "elsewhere")
    assert cache.load(NAME) is None
    assert cache.store(NAME, b"healed") == ""
    assert cache.load(NAME) == b"healed"
    assert not file_of(place).is_symlink()


def test_a_directory_that_is_a_symbolic_link_is_refused(place, tmp_path, caplog):
    (tmp_path / "real").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "real")
    assert cache.store(NAME, b"code") == f"{place} is no directory"
    assert list((tmp_path / "real").iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_directory_open_to_others_is_refused_with_one_warning(place, caplog, mode):
    cache.store(NAME, b"code")
    place.chmod(mode)
    for _ in range(3):
        assert cache.load(NAME) is None
        assert "is open to others; chmod 700" in cache.store(NAME, b"code")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_directory_of_another_user_is_refused(place, monkeypatch, caplog):
    cache.store(NAME, b"code")
    me = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: me + 1)
    assert cache.load(NAME) is None
    assert "belongs to another user" in cache.store(NAME, b"code")
    assert len(caplog.records) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_loaded(place):
    cache.store(NAME, b"code")
    os.chown(file_of(place), NOBODY, NOBODY)
    assert cache.load(NAME) is None
    assert cache.store(NAME, b"healed") == ""
    assert file_of(place).stat().st_uid == 0
    assert cache.load(NAME) == b"healed"


def test_a_file_that_others_may_write_is_not_loaded(place):
    cache.store(NAME, b"code")
    file_of(place).chmod(0o622)
    assert cache.load(NAME) is None
    cache.store(NAME, b"healed")
    assert cache.load(NAME) == b"healed"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "directory"])
def test_what_is_no_file_is_neither_read_nor_waited_for(place, make):
    cache.store("0-0", b"")
    make(file_of(place))
    assert cache.load(NAME) is None
    cache.store(NAME, b"code")
    assert cache.load(NAME) in (b"code", None)
    assert not list(place.glob("*.part"))


def unprivileged(call):
    """What a call on the cache prints in a process of a user without privileges."""
    drop = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})" if os.geteuid() == 0 else ""
    program = f"import os\nfrom descend.engines.llvm import cache\n{drop}\nprint(({call}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_read_only_directory_is_no_error(place):
    for above in list(place.parents)[:4]:  # pytest makes these for its own user alone
        if above.stat().st_uid == os.geteuid():
            above.chmod(above.stat().st_mode | 0o055)
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    assert unprivileged(f"cache.store({NAME!r}, b'code'), cache.load({NAME!r})") == "('', b'code')"
    place.chmod(0o500)
    assert "Permission denied" in unprivileged(f"cache.store({NAME!r}, b'new')")
    assert unprivileged(f"cache.load({NAME!r})") == "b'code'"
    place.chmod(0o700)
    file_of(place).chmod(0o000)
    assert unprivileged(f"cache.load({NAME!r})") == "None"
    assert unprivileged(f"cache.store({NAME!r}, b'new'), cache.load({NAME!r})") == "('', b'new')"
