"""The relay of a boîtier on a disk that can be read only, or is full: a real one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi_box import relayspool

from tests.relay_centre import Box, centre

pytestmark = pytest.mark.root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "spool"
    place.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m", "none", place), check=True)
    yield place
    subprocess.run(("umount", "--lazy", place), check=True)


def test_a_disk_that_takes_nothing_any_more_makes_no_mail_go_out_twice(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayspool, "SPARE_BYTES", 0)
    with centre(lambda _mail: "250 x") as server:
        box = Box(tmp_path, server, monkeypatch)
        box.take(b"one")
        subprocess.run(("mount", "-o", "remount,ro", disk), check=True)
        for _ in range(3):
            assert box.relaying._deliver_all() == ""
        assert server.taken == [b"Subject: one\r\n"] and box.waiting() == []


def test_what_is_refused_stays_until_its_mailbox_can_be_told(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayspool, "SPARE_BYTES", 0)
    monkeypatch.setattr(relayspool, "MAX_MAILS", 1)
    with centre(lambda _mail: "554 no") as server:
        box = Box(tmp_path, server, monkeypatch)
        mail = box.take(b"one")
        other = tmp_path / "spool" / "belongs-to"
        with pytest.raises(OSError, match="No space"):
            other.write_bytes(bytes(2 << 20))
        assert box.relaying._deliver_all()
        assert box.waiting() == [mail]
        other.unlink()
        box.relaying._deliver_all()
        [(_, notice)] = box.spool.waiting()
        assert notice.notice, "it takes the mail's place, also where no more mails are taken"
