"""A disk that is full: of a mailbox, of Postfix's queue. Nothing accepted is lost, and room is all it takes."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import remediation
from beffroi.mail.models import Mailbox, RemediationItem, RemediationJob

from tests.mail_post import Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
PICTURE_BYTES = 250_000


@contextmanager
def small(folder: Path, *, mib: float) -> Iterator[None]:
    """A small file system for ``folder``, with what is in it; afterwards the folder is as it was before."""
    owner, aside = folder.stat(), folder.with_name(folder.name + ".aside")
    subprocess.run(["/bin/cp", "-a", folder, aside], check=True)
    options = f"size={int(mib * 1024)}k,uid={owner.st_uid},gid={owner.st_gid},mode={owner.st_mode & 0o777:o}"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        subprocess.run(["/bin/cp", "-a", f"{aside}/.", folder], check=True)
        yield
    finally:
        subprocess.run(["/bin/umount", "--lazy", folder], check=True)
        subprocess.run(["/bin/rm", "-r", aside], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a byte is free on its file system while the block runs."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def resize(folder: Path, *, mib: int) -> None:
    subprocess.run(["/bin/mount", "-o", f"remount,size={mib}m", folder], check=True)


def queue(post: Post, *arguments: str) -> str:
    etc = post.config.state / "postfix" / "etc"
    return subprocess.run(
        ["/usr/sbin/postqueue", "-c", etc, *arguments], capture_output=True, text=True, check=True
    ).stdout


def picture(to: str, number: int) -> str:
    """A mail that does not become smaller by packing."""
    content = base64.encodebytes(b"\xff\xd8\xff\xe0" + os.urandom(PICTURE_BYTES)).decode()
    return (
        f"From: S <billing@sender.example.net>\nTo: {to}\nSubject: {number}\n"
        f"Message-ID: <{number}@sender.example.net>\n"
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b1\n\n--b1\nContent-Type: text/plain\n\nBonjour\n"
        f"--b1\nContent-Type: image/jpeg; name=a.jpg\nContent-Transfer-Encoding: base64\n\n{content}--b1--\n"
    )


def test_mail_for_a_mailbox_without_disk_waits_in_the_queue(post: Post, box: Mailbox) -> None:
    home = post.config.state / "mailboxes" / box.id
    with small(home, mib=1.5):
        for number in range(8):
            assert post.send(picture(box.address, number), box.address)[0] == 250
        until(lambda: "451 4.2.0" in queue(post, "-p"), "a mail that waits")
        resize(home, mib=64)
        queue(post, "-f")
        post.wait_count(box, 8)
        assert "Mail queue is empty" in queue(post, "-p")
        with post.imap(box) as client:
            client.select_folder("INBOX", readonly=True)
            sizes = client.fetch(client.search(), ["BODY.PEEK[TEXT]"]).values()
            assert all(len(one[b"BODY[TEXT]"]) > PICTURE_BYTES for one in sizes)
        post.engines.kill("dovecot")
    post.engines.start("dovecot")


def test_a_queue_without_disk_says_later_and_goes_on_by_itself(post: Post, box: Mailbox) -> None:
    spool = post.config.state / "postfix" / "queue"
    post.engines.kill("postfix", "dovecot")  # nothing is delivered: what is accepted waits in the queue
    with small(spool, mib=256):
        post.engines.start("postfix")
        assert post.send(picture(box.address, 1), box.address)[0] == 250
        resize(spool, mib=4)
        code, text = post.send(picture(box.address, 2), box.address)
        assert (code, text) == (452, "4.3.1 Insufficient system storage")
        post.engines.start("dovecot")
        queue(post, "-f")
        post.wait_count(box, 1)
        resize(spool, mib=256)
        assert post.send(picture(box.address, 2), box.address)[0] == 250
        post.wait_count(box, 2)
        post.engines.kill("postfix", "dovecot")
    post.engines.start("dovecot", "postfix")


COPIES = 60


def again(direction: str, after: timedelta) -> int:
    """How many items failed, once so much time has passed and ``resume`` ran."""
    items = RemediationItem.objects.filter(job__direction=direction)
    items.update(changed_at=clock.now() - after)
    RemediationJob.objects.update(created_at=clock.now() - 2 * after)
    remediation.try_again()
    remediation.resume()
    return items.filter(state="failed").count()


def test_what_a_full_disk_kept_from_being_withdrawn_or_given_back_is_when_there_is_room(
    post: Post, box: Mailbox
) -> None:
    for number in range(COPIES):
        assert post.send(lure(box.address, str(number)), box.address)[0] == 250
    post.wait_count(box, COPIES)
    post.settle(COPIES)
    home = post.config.state / "mailboxes" / box.id
    with small(home, mib=64):
        with full(home):
            decision = post.block("domain", "pay.evil.example.com")
            run_pending("remediation")
            failed = RemediationItem.objects.filter(state="failed").count()
            assert failed
            remediation.try_again()
            assert remediation.resume() == 0, "not at once"
            assert again("withdraw", timedelta(minutes=2)) == failed
        assert again("withdraw", timedelta(seconds=50)) == failed, "not within a minute"
        assert again("withdraw", timedelta(minutes=2)) == 0
        post.wait_count(box, 0)
        with full(home):
            decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="test")
            run_pending("remediation")
            states = RemediationItem.objects.filter(job__direction="restore").values_list("state", flat=True)
            assert "failed" in states, sorted(states)
        assert again("restore", timedelta(hours=1)) == 0
        post.wait_count(box, COPIES)
