"""Backups and restores that are cut, a store that rots, a disk that is full: nothing lost, nothing twice, all named."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail.backup import asking, store, told
from beffroi.mail.backup.asking import BackupRefused, BackupUnavailable
from beffroi.mail.backup.store import StoreFull
from beffroi.mail.backup.work import Work
from beffroi.mail.models import Mailbox

from tests.clients.test_mail_backup import INTO, asked, erase, fill, held, restore, work
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines, until

__all__ = ["work"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def filled(post: Post, commune: Commune, local: str, count: int) -> Mailbox:
    box = post.mailbox(commune, commune.agent, local)
    client = post.imap(box)
    fill(client, "INBOX", *(f"Devis {n}" for n in range(count)))
    client.logout()
    return box


def empty(post: Post, box: Mailbox) -> None:
    client = post.imap(box)
    erase(client, "INBOX")
    client.logout()


def in_thread(*arguments: Any, **values: Any) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(BackupUnavailable, BackupRefused):
            asking.ask(*arguments, **values)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_backups_that_are_killed_leave_a_store_that_is_whole(post: Post, beaune: Commune, work: Work) -> None:
    box = filled(post, beaune, "coupe", 60)
    work.back_up()
    rng = random.Random(20261126)
    for n in range(6):
        client = post.imap(box)
        fill(client, "INBOX", f"Lot {n}")
        client.logout()
        post.engines.start("backup")
        thread = in_thread(post.config, "now")
        threading.Event().wait(rng.uniform(0.05, 1.5))
        post.engines.kill("backup")
        thread.join()
    again = Work(post.config)
    again.prepare()
    assert again.back_up()["unsteady"] == []
    assert again.check(full=True)["whole"]
    empty(post, box)
    assert restore(again, box, into="")["restored"] == 66
    assert len(held(post, box)["INBOX"]) == 66


def test_a_restore_that_is_killed_goes_on_and_brings_nothing_twice(
    post: Post, beaune: Commune, work: Work
) -> None:
    box = filled(post, beaune, "repris", 500)
    before = held(post, box)["INBOX"]
    work.back_up()
    empty(post, box)
    for _ in range(3):
        post.engines.start("backup")
        begun = threading.Event()

        def told_(_done: int, _total: int, begun: threading.Event = begun) -> None:
            begun.set()

        thread = in_thread(post.config, "restore", told_, **asked(box))
        until(lambda begun=begun, thread=thread: begun.is_set() or not thread.is_alive(), "the first mails")
        post.engines.kill("backup")
        thread.join()
    post.engines.start("backup")
    # The keeper's own first backup may be under way.
    until(lambda: _done(post, box), "the rest")
    assert held(post, box) == {f"{INTO}/INBOX": before}
    assert asking.ask(post.config, "undo", restore_id="rst_1")["removed"] == 500
    assert held(post, box) == {}
    post.engines.kill("backup")


def _done(post: Post, box: Mailbox) -> bool:
    try:
        asking.ask(post.config, "restore", **asked(box))
    except BackupRefused:
        return False
    return True


def test_one_flipped_bit_is_found_and_the_file_is_named(post: Post, beaune: Commune, work: Work) -> None:
    filled(post, beaune, "bit", 20)
    work.back_up()
    sound = work.check(full=True)
    assert sound["whole"] and not told.problem(post.config, now=clock.epoch_s())
    packs = sorted((work.store.path / "data").rglob("*/*"), key=lambda one: one.stat().st_size)
    with packs[-1].open("r+b") as file:
        file.seek(packs[-1].stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x10]))
    found = work.check(full=True)
    name = str(packs[-1].relative_to(work.store.path))
    assert not found["whole"] and found["damaged"] == [name]
    assert name in told.problem(post.config, now=clock.epoch_s())


def test_the_weekly_check_compares_a_mailbox_with_what_lies_there(
    post: Post, beaune: Commune, work: Work
) -> None:
    box = filled(post, beaune, "compare", 30)
    work.back_up()
    known = {box.id: box.address}
    work._known = lambda: known
    assert work.check(full=False)["compared"] == 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """8 MiB."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(tmp_path)], check=False)
    if made.returncode:
        pytest.skip("no mount here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_run_that_hangs_on_a_full_disk_is_ended_and_says_so(
    post: Post, beaune: Commune, work: Work, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(post, beaune, "arrete", 5)
    target = post.config.state / "backup"
    target.symlink_to(small_disk)
    started = subprocess.Popen

    def stopped(words: Sequence[str], **named: Any) -> subprocess.Popen[str]:
        process = started(words, **named)
        if "backup" in words:
            process.send_signal(signal.SIGSTOP)
        return process

    try:
        with monkeypatch.context() as patch, pytest.raises(StoreFull, match="is full"):
            patch.setattr(store, "LOOK_S", 0.2)
            patch.setattr(store, "FULL_S", 1.0)
            patch.setattr(subprocess, "Popen", stopped)
            work.back_up()
        work.back_up()
        assert work.check(full=True)["whole"] and len(work.store.snapshots()) == 1
    finally:
        target.unlink()


def test_a_full_disk_is_said_and_the_backups_before_stay(
    post: Post, beaune: Commune, work: Work, small_disk: Path
) -> None:
    box = filled(post, beaune, "plein", 5)
    target = post.config.state / "backup"
    target.symlink_to(small_disk)
    try:
        work.back_up()
        (small_disk / "ballast").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 65536))
        client = post.imap(box)
        for n in range(8):
            noise = random.Random(n).randbytes(300_000).hex().encode()
            client.append("INBOX", b"Subject: gros\r\nFrom: a@b.test\r\n\r\n" + noise + b"\r\n")
        client.logout()
        with pytest.raises(StoreFull, match="is full"):
            work.back_up()
        assert "is full" in told.problem(post.config, now=clock.epoch_s())
        (small_disk / "ballast").unlink()
        work.back_up()
        assert told.problem(post.config, now=clock.epoch_s()) == ""
        assert work.check(full=True)["whole"] and len(work.store.snapshots()) == 2
    finally:
        target.unlink()
